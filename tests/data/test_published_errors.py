"""Published files over HTTP, and what is wrong with them: one clear error each, which says how to fix it."""

from __future__ import annotations

import csv
import functools
import hashlib
import http.server
import io
import threading
from dataclasses import replace

import pytest

from bench.core.errors import Unavailable, UsageError
from bench.data.load import load_task
from bench.data.readers.published import PublishedTask
from bench.data.tasks import Answers, Published, Repository, TaskInfo
from bench.noise.draw import draw
from bench.noise.label_sets import find_label_sets
from bench.noise.select import sources_for

COMMIT = "a" * 40
COUNT = 40
TEXTS = [{"id": f"n{i}", "text": f"text {i}", "gold": str(i % 2)} for i in range(COUNT)]
ANSWERS = [{"id": row["id"], "text": row["text"], "answer": ("0", "1", "?")[i % 3]} for i, row in enumerate(TEXTS)][
    ::-1
]


def csv_bytes(rows: list[dict[str, str]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def info_of(texts: bytes, answers: bytes, **changes) -> TaskInfo:
    files = {
        "texts": ("data/texts.csv", hashlib.sha256(texts).hexdigest()),
        "answers": ("what they said/gpt.csv", hashlib.sha256(answers).hexdigest()),
    }
    source = Published(
        repository=Repository("owner/name", COMMIT, files),
        texts=("texts",),
        text="text",
        gold="gold",
        id="moods-{id}",
        key="id",
        classes={"0": "bad", "1": "good"},
        silent=("?",),
        labellers={"gpt-4.5_x/zero": Answers("answer", ("answers",), same={"text": "text"})},
    )
    source = replace(source, **changes)
    return TaskInfo("moods", "Moods", ("bad", "good"), 32, "none", "2026", sources=(source,))


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server in place of GitHub's, and the paths that were asked of it."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    root = tmp_path / "web"
    root.mkdir()
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(root)))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    monkeypatch.setattr("bench.data.tasks.GITHUB_RAW", f"http://127.0.0.1:{httpd.server_port}")
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("HF_HUB_OFFLINE", "BENCH_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    yield root / "owner" / "name" / COMMIT, asked
    httpd.shutdown()
    httpd.server_close()


def serve(folder, texts: bytes, answers: bytes) -> None:
    for inside, content in (("data/texts.csv", texts), ("what they said/gpt.csv", answers)):
        path = folder / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def known_as(monkeypatch, info: TaskInfo) -> None:
    for module in ("bench.data.load", "bench.noise.label_sets"):
        monkeypatch.setattr(f"{module}.known", lambda: {info.name: info})


def test_a_source_is_fetched_at_its_commit_checked_and_kept(server, monkeypatch):
    folder, asked = server
    files = csv_bytes(TEXTS), csv_bytes(ANSWERS)
    serve(folder, *files)
    known_as(monkeypatch, info_of(*files))
    task = load_task("moods")
    assert task.origin == "owner/name@aaaaaaa"
    assert len(asked) == 1, "the texts alone are needed for the task"
    [(source, _)] = sources_for(task, llms=["gpt-4.5_x"])
    assert asked == [f"/owner/name/{COMMIT}/data/texts.csv", f"/owner/name/{COMMIT}/what%20they%20said/gpt.csv"]
    labels = draw(source, task, 1)
    assert source.id == "gpt-4.5_x/zero"
    expected = [(0, 1, -1)[int(name.removeprefix("moods-n")) % 3] for name in task.train.ids]
    assert labels.train.tolist() == expected
    serve(folder, b"gone", b"gone")
    PublishedTask(*[(info := info_of(*files)), info.sources[0]]).answers("gpt-4.5_x/zero")
    assert len(asked) == 2, "what lies in the cache is not fetched again"


def test_a_changed_upstream_file_is_refused_with_another_way(server, monkeypatch):
    folder, _ = server
    files = csv_bytes(TEXTS), csv_bytes(ANSWERS)
    known_as(monkeypatch, info_of(*files))
    serve(folder, files[0] + b"n99,new,1\n", files[1])
    with pytest.raises(Unavailable, match=r"texts.csv has changed: SHA-256 .*published/owner\+name/data/texts.csv"):
        load_task("moods")
    serve(folder, files[0], files[1] + b"n99,new,1\n")
    task = load_task("moods")
    [(source, why)] = sources_for(task, llms=["gpt-4.5_x"])
    assert source.id == "gpt-4.5_x/zero"
    assert "has changed: SHA-256" in why


def put(tmp_path, texts: bytes, answers: bytes, **changes) -> PublishedTask:
    """The files where a data folder has them."""
    serve(tmp_path / "published" / "owner+name", texts, answers)
    info = info_of(texts, answers, **changes)
    return PublishedTask(info, info.sources[0], tmp_path)


def test_a_changed_file_in_the_data_folder_is_refused(tmp_path):
    task = put(tmp_path, csv_bytes(TEXTS), csv_bytes(ANSWERS))
    path = tmp_path / "published" / "owner+name" / "data" / "texts.csv"
    path.write_bytes(csv_bytes(TEXTS[:-1]))
    with pytest.raises(
        UsageError, match=r"texts.csv is not the published file: SHA-256 .*download it again from https://raw"
    ):
        task.texts()


def edited(rows, row: int, **values) -> bytes:
    return csv_bytes([{**each, **values} if at == row else each for at, each in enumerate(rows)])


@pytest.mark.parametrize(
    ("answers", "changes", "message"),
    [
        (csv_bytes(ANSWERS), {"labellers": {"gpt-4.5_x/zero": Answers("gone", ("answers",))}},
         r"gpt.csv has no column 'gone'; it has: id, text, answer.*they are fetched again"),
        (edited(ANSWERS, 3, answer="maybe"), {},
         r"gpt.csv \(gpt-4.5_x/zero\), row 4: column 'answer' holds 'maybe', which is neither a class \(bad, good\)"),
        (edited(ANSWERS, 0, id="x1"), {},
         r"row 1: id 'x1' is not among the texts \(1 of 40 rows do not match\)"),
        (csv_bytes(ANSWERS[1:]), {}, r"has no row for 1 texts, the first with id 'n39'"),
        (csv_bytes(ANSWERS[1:]), {"key": None}, r"has 39 rows for 40 texts, and they are matched row by row"),
        (csv_bytes(ANSWERS), {"key": None}, r"row 1: text 'text 39' is matched with 'text 0'"),
        (edited(ANSWERS, 0, text="another"), {}, r"row 1: text 'another' is matched with 'text 39'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_answers(answers, changes, message, tmp_path):
    task = put(tmp_path, csv_bytes(TEXTS), answers, **changes)
    assert len(task.texts().splits["test"].texts) == 10
    with pytest.raises(UsageError, match=message):
        task.answers("gpt-4.5_x/zero")


def test_a_gap_that_is_declared_is_no_answer(tmp_path):
    task = put(tmp_path, csv_bytes(TEXTS), csv_bytes(ANSWERS[1:]), gaps=True)
    answers, texts = task.answers("gpt-4.5_x/zero"), task.texts()
    found = {
        name: label
        for split, part in texts.splits.items()
        for name, label in zip(part.ids, answers[split].labels.tolist(), strict=True)
    }
    assert found["moods-n39"] == -1
    assert found["moods-n1"] == 1


def test_gold_outside_the_classes_is_refused(tmp_path):
    task = put(tmp_path, edited(TEXTS, 5, gold="7"), csv_bytes(ANSWERS))
    with pytest.raises(UsageError, match=r"texts.csv, row 6: column 'gold' holds '7'"):
        task.texts()


def tidy(tmp_path, **values) -> PublishedTask:
    split = lambda at: ("train", "valid", "test")[at % 3]  # noqa: E731
    rows = [{**row, "gold": ("bad", "good")[at % 2], "split": split(at), "gpt-4.5_x__zero": ("good", "")[at % 2]}
            for at, row in enumerate(TEXTS)]  # fmt: skip
    (tmp_path / "llm").mkdir()
    (tmp_path / "llm" / "moods.csv").write_bytes(edited(rows, 7, **values))
    info = info_of(b"", b"")
    return PublishedTask(info, info.sources[0], tmp_path)


def test_a_tidy_table_is_read_as_it_is(tmp_path):
    task = tidy(tmp_path)
    assert task.texts().splits["valid"].ids == tuple(f"n{at}" for at in range(1, COUNT, 3))
    assert task.answers("gpt-4.5_x/zero")["train"].labels.tolist() == [
        1 if at % 2 == 0 else -1 for at in range(0, COUNT, 3)
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split": "holdout"}, r"moods.csv, row 8: split 'holdout'; it must be train, valid or test"),
        ({"gold": ""}, r"moods.csv, row 8: no gold; task moods has it for every text"),
        ({"gold": "fine"}, r"moods.csv, column gold, row 8: label 'fine' is outside"),
        ({"gpt-4.5_x__zero": "fine"}, r"moods.csv, column gpt-4.5_x__zero, row 8: label 'fine' is outside"),
    ],
)
def test_what_is_wrong_with_a_tidy_table(values, message, tmp_path):
    task = tidy(tmp_path, **values)
    with pytest.raises(UsageError, match=message):
        task.texts(), task.answers("gpt-4.5_x/zero")


def test_a_tidy_table_without_a_labellers_column_names_it(tmp_path):
    task = tidy(tmp_path)
    path = tmp_path / "llm" / "moods.csv"
    path.write_text(path.read_text().replace("gpt-4.5_x__zero", "gpt-5__zero"))
    with pytest.raises(
        UsageError, match=r"has no column 'gpt-4.5_x__zero'; it has: id, text, gold, split, gpt-5__zero"
    ):
        task.answers("gpt-4.5_x/zero")


def test_answers_do_not_fit_a_users_own_texts_of_that_name(tmp_path, monkeypatch):
    task = tidy(tmp_path)
    known_as(monkeypatch, task.info)
    (tmp_path / "moods").mkdir()
    for split in ("train", "valid", "test"):
        (tmp_path / "moods" / f"{split}.csv").write_text(f"text,gold\n{split} a,bad\n{split} b,good\n")
    own = load_task("moods", data_dir=tmp_path)
    [ref] = [ref for ref in find_label_sets(tmp_path, "moods")]
    assert ref.id == "gpt-4.5_x/zero"
    [(_, why)] = sources_for(own, llms=["gpt-4.5_x"], data_dir=tmp_path)
    assert "are for the train texts of owner/name, and task moods has others" in why
