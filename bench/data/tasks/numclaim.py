"""Does a sentence of a financial report claim something about the future?"""

from bench.data.tasks import TaskInfo

INFO = TaskInfo(
    name="numclaim",
    title="Numerical claims in finance",
    label_names=("OUTOFCLAIM", "INCLAIM"),
    max_length=128,
    licence="not stated with the copy used here, see the paper; not redistributed here",
    citation="Shah et al. 2024, Numerical claim detection in finance",
    note="2144/537 sentences; there is no validation split, so 20 % of train become one "
    "(scikit-learn's train_test_split, seed 42). The authors' copy on the hub (gtfintechlab/Numclaim) has no "
    "revision that could be pinned here, so this task is read from a folder only.",
)
