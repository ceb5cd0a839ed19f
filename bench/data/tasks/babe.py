"""Is a sentence of a news article biased in its choice of words?"""

from bench.data.tasks import Answers, Published, Repository, TaskInfo

LLMS = (
    "falcon-7b", "flan-t5-base", "flan-t5-large", "flan-t5-xl", "flan-ul2", "gpt-3-5", "gpt-4", "llama-7b", "llama-13b",
    "mistral-7b", "mixtral-8x7b", "openchat", "zephyr",
)  # fmt: skip
LEFT_OUT = ("falcon-7b", "few")  # it answered 38 % of the texts

INFO = TaskInfo(
    name="babe",
    title="Media bias by word choice in news sentences",
    label_names=("not biased", "biased"),
    max_length=128,
    licence="data: none stated, sentences quoted from news articles; answers: MIT; not redistributed here",
    citation="Spinde et al. 2021, Neural media bias detection using distant supervision with BABE, Findings of EMNLP; "
    "answers: Horych et al. 2025, The promises and pitfalls of LLM annotations in dataset labeling "
    "(annomatic)",
    sources=(
        Published(
            repository=Repository(
                repo="Media-Bias-Group/llm-annotations-annomatic",
                commit="d6298d3d4e706005a56ab313dff401a9fd9f4aa1",
                files={
                    "zero": (
                        "benchmark/zero-shot/all_runs_with_errors.csv",
                        "910d37b8156bf09a88a3cc8ef187e63bfb5c1fbb436950a786fb5d042dcff214",
                    ),
                    "few": (
                        "benchmark/4-shot/all_runs_with_errors.csv",
                        "a1a96f86a172769370da9a585cc0ffe25a4095620353bc05348910bdb8db24cf",
                    ),
                },
            ),
            texts=("zero",),
            text="text",
            gold="label",
            id="{uuid}",
            key="uuid",
            classes={"0": "not biased", "1": "biased"},
            silent=("?",),
            labellers={
                f"{llm}/{shots}": Answers(f"{llm.replace('-', '_')}_label", (shots,), same={"text": "text"})
                for shots in ("zero", "few")
                for llm in LLMS
                if (llm, shots) != LEFT_OUT
            },
        ),
    ),
    note="3021 sentences; gold is the majority of 5 to 8 expert annotators. Zero-shot, and 4 examples; '?' is an "
    "answer that could not be read.",
)
