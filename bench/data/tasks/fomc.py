"""Is a sentence of the US central bank hawkish, dovish or neutral?"""

from bench.data.tasks import Answers, Published, Repository, TaskInfo

RUNS = (
    ("gpt4", "5768_06_07_2023_75", "8ffc6edce0d57b60ee49ee64737468409259bc50e57c130cda02032ac7cc2fce"),
    ("gpt4", "78516_06_07_2023_77", "8b8e52a274db8861c55157d0a7423859251be6dd6fb4cd3c026d3562a382a7bb"),
    ("gpt4", "944601_06_07_2023_79", "67225d551f7c7b9eb0d215923f3518c2cf3555a0472a1bd2e37cdc65bf17ba0e"),
    ("chatgpt", "5768_11_05_2023_32", "49166760ade8442ea489eaa4c92e2799fc14fe3ecbf4193e34d9bba5ac3bf366"),
    ("chatgpt", "78516_11_05_2023_31", "023596253226a12568234ac6f23dd65457d1b1baddaac37456f1d1765bf5deff"),
    ("chatgpt", "944601_11_05_2023_34", "e58b11a9b6b7d0481af5ea56f2a30eb68eeb95ea7f41af82e0d2b7da605f649c"),
)
"""Model; seed, day and accuracy, as in a file's name; SHA-256 of the file."""
FILES = {f"{model}/{run}": (f"{model}_lab-manual-split-combine_{run}.csv", sha256) for model, run, sha256 in RUNS}
GPT_4, GPT_35 = (tuple(name for name in FILES if name.startswith(model)) for model in ("gpt4/", "chatgpt/"))

INFO = TaskInfo(
    name="fomc",
    title="Stance of central bank sentences",
    label_names=("dovish", "hawkish", "neutral"),
    max_length=128,
    licence="data: CC BY-NC 4.0; answers: CC BY-NC 4.0; not redistributed here",
    citation="Shah et al. 2023, Trillion dollar words, ACL; answers: Shah & Chava 2023, Zero is not hero yet",
    sources=(
        Published(
            repository=Repository(
                repo="gtfintechlab/zero-shot-finance",
                commit="d8a6aad6db29eb7f85f73a50d1dc06d08b77bc91",
                folder="fomc_communication/data/llm_prompt_outputs/",
                files=FILES,
            ),
            texts=GPT_4,
            text="original_sent",
            gold="true_label",
            id="fomc_stance-{number:05}",
            key="original_sent",
            classes={"0": "dovish", "1": "hawkish", "2": "neutral"},
            drop_repeats=True,
            rule="first word",
            labellers={
                "gpt-4/zero": Answers("text_output", GPT_4),
                "gpt-3.5-turbo/zero": Answers("text_output", GPT_35),
            },
        ),
    ),
    note="1204 sentences: the test sets of three random splits without repeated sentences, whose first row counts."
    " The answer is the class named first. Where the vendor's API failed, the authors' script wrote the "
    "answer before again, so a few answers may belong to another sentence.",
)
