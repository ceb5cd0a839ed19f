"""Question classification, six coarse answer types."""

from bench.data.tasks import Repository, TaskInfo

INFO = TaskInfo(
    name="trec",
    title="TREC question types",
    label_names=("DESC", "ENTY", "HUM", "ABBR", "LOC", "NUM"),
    max_length=128,
    licence="public research set, no licence stated; not redistributed here",
    citation="Li & Roth 2002, Learning question classifiers, COLING; splits and weak votes: Zhang et al. 2021, WRENCH",
    sources=(
        Repository(
            repo="liqinye/SiDyP",
            commit="7ab4318f08e680a7a31734a9daa5a2a12cc710be",
            folder="src/llm/datasets/trec/",
            files={
                "train": ("train.json", "92a1cfc914222003512efd69ee55bd89150bf42f35400c1325f861bfe2a0e350"),
                "valid": ("valid.json", "56b27e6796ecb4fe63d60060306bdb65dec6f8e5f345cdce068eb50a5f90b5c9"),
                "test": ("test.json", "95b1a8fbefbeda9b75b96416814dd46794872809a2295832761b2a0b7bc5de3d"),
            },
        ),
    ),
    note="5033/500/500 questions, WRENCH export with the votes of 68 labelling functions. The hub has other splits "
    "of this set without votes; they are not the same task and are not used. In that export all test texts, and no "
    "others, begin with the question's fine class ('dist How far is it from Denver to Aspen ?'); docs/evidence.md "
    "shows what that does to accuracy.",
)
