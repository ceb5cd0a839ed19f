"""A label set grows, and one that was made otherwise is never replaced."""

import pytest

from bench.core.errors import UsageError
from llm_labels.labellers.openai_server import OpenAILabeller
from llm_labels.labelsets import Unusable, read_label_set
from llm_labels.run import label_task
from tests.llm_labels.test_run import TASK, chat, files, label
from tests.llm_labels.tiny import chat_server, prompt_file, reply


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")


def test_a_set_grows_by_splits_and_rows_and_keeps_what_it_has(tmp_path):
    with chat_server(lambda text, n: (200, reply("POS"))) as server:
        label(tmp_path, chat(server), splits=("train",))
        label(tmp_path, chat(server), splits=("valid",))
        made = label(tmp_path, chat(server), limit=2)
    assert made.complete
    assert len(server.asked) == 8 + 4 + 2
    read = read_label_set(made.folder, TASK.label_names, TASK.full_fingerprint)
    assert {split: len(part.rows) for split, part in read.items()} == {"train": 8, "valid": 4, "test": 2}
    assert {split: counts.asked for split, counts in made.card.splits.items()} == {"train": 8, "valid": 4, "test": 2}


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"temperature": 1.0}, r"made with another temperature \(0\.0, now 1\.0\): give another --name or --out"),
        ({"model": "rival/moody-8b"}, r"made with another model \('moody-8b', now 'rival/moody-8b'\)"),
        ({"prompt": "Choose another mood."}, "made with another prompt"),
        ({"server": True}, "made with another server"),
    ],
)
def test_a_set_that_was_made_otherwise_is_never_replaced(tmp_path, other, complaint):
    with chat_server(lambda text, n: (200, reply("POS"))) as server, chat_server(lambda *_: (200, reply("NEG"))) as new:
        before = files(label(tmp_path, chat(server)).folder)
        chosen = {"base_url": (new if other.pop("server", False) else server).address, "pause": 0.01}
        text = prompt_file(tmp_path, TASK).read_text()
        (tmp_path / "other.yaml").write_text(text.replace("Choose the mood.", other.pop("prompt", "Choose the mood.")))
        labeller = OpenAILabeller(other.pop("model", "moody-8b"), **chosen, **other)
        asked = len(server.asked)
        with pytest.raises(UsageError, match=complaint):
            label_task(
                TASK, labeller, prompting="few", out=tmp_path / "sets", cache_dir=tmp_path / "cache",
                prompt_file=tmp_path / "other.yaml",
            )  # fmt: skip
        assert len(server.asked) + len(new.asked) == asked
    assert files(tmp_path / "sets" / "moody-8b" / "few" / "moods") == before


def test_rows_that_are_not_asked_for_keep_their_labels(tmp_path):
    with chat_server(lambda text, n: (200, reply("The mood is POS"))) as server:
        before = files(label(tmp_path, chat(server), limit=4, splits=("train",)).folder)
        with pytest.raises(UsageError, match=r"would change in 4 rows that are not asked for now: .* --decoder"):
            label(tmp_path, chat(server, decoder="official"), splits=("valid",))
        assert files(tmp_path / "sets" / "moody-8b" / "few" / "moods") == before
        made = label(tmp_path, chat(server, decoder="official"))  # all rows are asked for, and so read anew
    assert (made.labels["train"].labels == -1).all()
    assert made.notes == ("4 labels in the set are now read differently",)
    assert len(server.asked) == 8 + 4 + 6


def test_rows_whose_answers_are_gone_are_neither_lost_nor_asked_unasked(tmp_path):
    with chat_server(lambda text, n: (200, reply("POS"))) as server:
        made = label(tmp_path, chat(server), splits=("train",))
        for path in (tmp_path / "cache").glob("*.jsonl"):
            path.unlink()
        with pytest.raises(UsageError, match="has 8 train rows whose answers are not in"):
            label(tmp_path, chat(server), splits=("valid",))
        assert len(server.asked) == 8
    assert len(read_label_set(made.folder, TASK.label_names, TASK.full_fingerprint)["train"].rows) == 8


def test_files_of_others_are_not_overwritten(tmp_path):
    folder = tmp_path / "sets" / "moody-8b" / "few" / "moods"
    folder.mkdir(parents=True)
    (folder / "train.csv").write_text("true_label,original_sent,noisy_label\n1,a,1\n")
    with chat_server(lambda text, n: (200, reply("POS"))) as server:
        with pytest.raises(UsageError, match="has label files that `bench label` did not write"):
            label(tmp_path, chat(server))
        assert server.asked == []


def test_a_set_that_was_cut_off_while_it_was_written_is_written_again(tmp_path):
    with chat_server(lambda text, n: (200, reply("POS"))) as server:
        made = label(tmp_path, chat(server))
        (made.folder / "card.json").unlink()
        with pytest.raises(Unusable, match="is unfinished: run the same `bench label` command to finish it"):
            read_label_set(made.folder, TASK.label_names, TASK.full_fingerprint)
        assert label(tmp_path, chat(server)).from_cache == 18
    assert (made.folder / "card.json").exists()
