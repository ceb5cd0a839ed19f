"""Relation between two marked nouns, nine relations."""

from bench.data.tasks import Repository, TaskInfo

INFO = TaskInfo(
    name="semeval",
    title="SemEval-2010 Task 8 relations",
    label_names=(
        "Cause-Effect",
        "Component-Whole",
        "Content-Container",
        "Entity-Destination",
        "Entity-Origin",
        "Instrument-Agency",
        "Member-Collection",
        "Message-Topic",
        "Product-Producer",
    ),
    max_length=128,
    licence="CC BY 3.0 (the task's data release); not redistributed here",
    citation="Hendrickx et al. 2010, SemEval-2010 Task 8; splits and weak votes: Zhang et al. 2021, WRENCH",
    sources=(
        Repository(
            repo="liqinye/SiDyP",
            commit="7ab4318f08e680a7a31734a9daa5a2a12cc710be",
            folder="src/llm/datasets/semeval/",
            files={
                "train": ("train.json", "d547783e4a592d450c22518fec5f67dccf782b21bfbceca49e0b3d85b2c1a9c5"),
                "valid": ("valid.json", "ef62816a53928196cb64e109c73f998bb87aec3293a7a9a81b5358408fc09f13"),
                "test": ("test.json", "5994aeb4f8ed93f0776ecf14ffd5da06f42b57c97ee544a112ed3b6dde4849f8"),
            },
        ),
    ),
    mark_entities=True,
    note="1749/178/600 sentences, WRENCH export with the votes of 164 labelling functions. The two entities are "
    "marked in the text, '<e1> ... </e1>' and '<e2> ... </e2>', because the relation is between them; "
    "semeval[mark_entities=false] gives the bare sentences, as the published LLM labels were made.",
)
