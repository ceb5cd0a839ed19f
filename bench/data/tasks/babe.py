"""Is a sentence of a news article biased in its choice of words?"""

from bench.data.tasks import Answers, Published, Repository, TaskInfo

ZERO = {
    "falcon-7b": "falcon_7b_label",
    "flan-t5-base": "flan_t5_base_label",
    "flan-t5-large": "flan_t5_large_label",
    "flan-t5-xl": "flan_t5_xl_label",
    "flan-ul2": "flan_ul2_label",
    "gpt-3-5": "gpt_3_5_label",
    "gpt-4": "gpt_4_label",
    "llama-7b": "llama_7b_label",
    "llama-13b": "llama_13b_label",
    "mistral-7b": "mistral_7b_label",
    "mixtral-8x7b": "mixtral_8x7b_label",
    "openchat": "openchat_label",
    "zephyr": "zephyr_label",
}
FEW = {name: column for name, column in ZERO.items() if name != "falcon-7b"}  # it answered 38 % of the texts

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
                **{f"{name}/zero": Answers(column, ("zero",), same={"text": "text"}) for name, column in ZERO.items()},
                **{f"{name}/few": Answers(column, ("few",), same={"text": "text"}) for name, column in FEW.items()},
            },
        ),
    ),
    note="3021 sentences; gold is the majority of 5 to 8 expert annotators. Zero-shot, and 4 examples; '?' is an "
    "answer that could not be read.",
)
