"""Sentiment of a tweet in Nigerian Pidgin."""

from bench.data.tasks import Answers, Published, Repository, TaskInfo

INFO = TaskInfo(
    name="pidgin",
    title="Sentiment of tweets in Nigerian Pidgin",
    label_names=("negative", "neutral", "positive"),
    max_length=128,
    licence="data: CC BY 4.0; answers: none stated; not redistributed here",
    citation="Muhammad et al. 2023, AfriSenti, EMNLP; answers: Ojo et al. 2023, How good are large language models on "
    "African languages?",
    sources=(
        Published(
            repository=Repository(
                repo="JessicaOjo/LLM-African-eval",
                commit="6cc36dd841c049e8083d0f9306a7a19c0fac0e34",
                files={
                    "gpt-4": (
                        "predictions/results_gpt4/sentiment/pcm.tsv",
                        "928a2febf6e7660c1003fe67675871fd32c29908d7fce10a9f7cd7f0f3e2682e",
                    ),
                    "llama-2-13b-chat": (
                        "predictions/results_llama13b/sentiment/Nigerian Pidgin.tsv",
                        "52ba5960369fdfb3d9889913595b452fc9ed1e130cb3da555a538a6edf09e405",
                    ),
                    "mt0-xxl": (
                        "predictions/results_mt0/sentiment/Nigerian Pidgin.tsv",
                        "4a1bc6514e0f5b95d476dc0f3ad8fc61eaee2554b3c25d9e086a598f432ea407",
                    ),
                    "mt0-xxl-mt": (
                        "predictions/results_mt0_mt/sentiment/Nigerian Pidgin.tsv",
                        "a65c031c8829dfb8498bb92171ffa436426d29a2c4bf2e711b63140683a56664",
                    ),
                },
            ),
            texts=("gpt-4",),
            text="tweet",
            gold="label",
            id="pcm-{row:05}",
            rule="chat",
            labellers={
                "gpt-4/zero": Answers("gpt-turbo", ("gpt-4",)),
                "llama-2-13b-chat/zero": Answers("llama", ("llama-2-13b-chat",), same={"text": "tweet"}),
                "mt0-xxl/zero": Answers("mt0", ("mt0-xxl",), same={"text": "tweet"}),
                "mt0-xxl-mt/zero": Answers("mt0", ("mt0-xxl-mt",), same={"text": "tweet"}),
            },
        ),
    ),
    note="4154 tweets, the test split of AfriSenti, in lower case. mT0 never answers neutral. The column of GPT-4 "
    "is named gpt-turbo in the file, so that it may be GPT-3.5. Chat answers that apologise or name all "
    "classes are no answer.",
)
