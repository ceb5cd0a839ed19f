"""Does a sentence of a financial report claim something about the future?"""

from bench.data.tasks import Repository, TaskInfo

INFO = TaskInfo(
    name="numclaim",
    title="Numerical claims in finance",
    label_names=("OUTOFCLAIM", "INCLAIM"),
    max_length=128,
    licence="not stated with the copy used here, see the paper; not redistributed here",
    citation="Shah et al. 2024, Numerical claim detection in finance",
    sources=(
        Repository(
            repo="liqinye/SiDyP",
            commit="7ab4318f08e680a7a31734a9daa5a2a12cc710be",
            folder="src/llm/datasets/numclaim/",
            files={
                "train": ("numclaim-train.xlsx", "a1b5de7b9fd6d81d9aa4e338c6b2fa28b09e9ad9ce0f055b0ab6ee51eb377667"),
                "test": ("numclaim-test.xlsx", "7f8bb8c44548306cf9b57fe3b0f41b4fa626fc6c42f2b2fc2526d6b3e980bf16"),
            },
        ),
    ),
    note="2144/537 sentences; there is no validation split, so 20 % of train become one "
    "(scikit-learn's train_test_split, seed 42).",
)
