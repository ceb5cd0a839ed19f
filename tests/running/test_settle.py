"""`--until-settled`: seeds are added until every method's paired interval against plain excludes 0."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UsageError
from bench.grid.cells import plan
from bench.grid.options import load_options
from bench.report import frame
from bench.report.tables import stats
from bench.report.tables.blocks import blocks
from bench.report.tables.doubts import doubt_sentences
from bench.running import settle
from bench.running.settle import check_settling, next_round, sentences, unsettled
from bench.store.records import write_record
from tests.conftest import records, review_rows, write_csv, write_tiny_bert
from tests.factories import done_record


@pytest.fixture
def make(tmp_path, monkeypatch, reviews, tiny_bert):
    """Plan a grid of plain and two other methods on the small CSV."""
    monkeypatch.chdir(tmp_path)

    def plan_of(**options):
        given = {"methods": "plain,elr,gce", "tasks": "reviews.csv", "llms": "ann,bob", "until_settled": 6}
        return plan(load_options(given | {"encoder": f"{tiny_bert}:frozen", "results": "r"} | options))

    return plan_of


def finish(grid, gains):
    """Write a result for each cell that has none: plain's accuracy, and the others' gain over it by seed, in points."""
    for cell in grid.cells:
        key = cell.key
        plain = 60 + 5 * (key.seed % 3) + 7 * (key.noise == "bob")
        gain = gains[key.method](key.seed) if key.method in gains else 0
        record, _ = done_record(key, label_names=("negative", "positive"), n_test=20, n_train=20)
        last = record.scores.last.model_copy(update={"accuracy": (plain + gain) / 100})
        scores = record.scores.model_copy(update={"last": last})
        write_record(record.model_copy(update={"scores": scores, "until_settled": 6}), grid.options.results)


def test_a_seed_is_added_to_all_methods_until_each_is_shown_to_differ(make):
    clear, late = (lambda seed: 5 + 0.1 * seed), (lambda seed: 1 + 0.6 * (-1) ** seed)
    grid, rounds = make(), [[1, 2, 3]]
    finish(grid, {"elr": clear, "gce": late})
    assert list(unsettled(grid)) == [f"gce ({grid.cells[0].key.encoder}:frozen)"]
    while (more := next_round(grid)) is not None:
        grid = more
        rounds.append(grid.options.seeds)
        assert {cell.key.seed for cell in grid.cells if cell.key.method == "elr"} == set(grid.options.seeds)
        finish(grid, {"elr": clear, "gce": late})
    # 1 ± 0.6 in turns: by hand, the t-interval excludes 0 from so many seeds on
    gaps = {n: np.array([late(seed) for seed in range(1, n + 1)]) for n in (3, 4, 5)}
    t = {3: 4.303, 4: 3.182, 5: 2.776}
    first = next(n for n in gaps if gaps[n].mean() > t[n] * gaps[n].std(ddof=1) / np.sqrt(n))
    assert rounds[-1] == list(range(1, first + 1))
    assert len(rounds) > 1
    assert sentences(grid)[0].startswith(f"settled with {first} seeds")


def test_it_ends_at_the_most_seeds_and_names_what_is_open(make):
    grid = make(until_settled=4)
    noise = {"elr": lambda seed: (-1) ** seed, "gce": lambda seed: 9 + 0.1 * seed}
    finish(grid, noise)
    grid = next_round(grid)
    finish(grid, noise)
    assert next_round(grid) is None
    assert grid.options.seeds == [1, 2, 3, 4]
    assert "not settled with 4 seeds, the most that --until-settled allows: elr (" in sentences(grid)[0]
    assert "gce" not in sentences(grid)[0]


def test_a_difference_without_any_spread_is_not_waited_for(make):
    grid = make()
    finish(grid, {"elr": lambda seed: 0, "gce": lambda seed: 2})
    assert next_round(grid) is None


def test_fewer_seeds_than_a_report_needs_settle_nothing(make):
    grid = make(seeds=[1], until_settled=5)
    rounds = []
    while grid is not None:
        rounds.append(grid.options.seeds)
        finish(grid, {"elr": lambda seed: 5 + 0.1 * seed, "gce": lambda seed: 9 + 0.1 * seed})
        grid = next_round(grid)
    assert rounds == [[1], [1, 2], [1, 2, 3]]  # after two, both intervals exclude 0


def test_a_method_that_lacks_seeds_is_named_with_how_many_it_has(make):
    grid = make(seeds=[1, 2, 3], until_settled=3)
    some = [cell for cell in grid.cells if cell.key.method != "elr" or cell.key.seed < 3]
    finish(dataclasses.replace(grid, cells=some), {"elr": lambda seed: 5 + 0.1 * seed, "gce": lambda seed: 9})
    (sentence,) = sentences(grid)
    assert sentence.endswith("+5.1 ± 0.6 (too few: 2 seeds) points against plain")


def test_without_the_option_nothing_is_added(make):
    grid = make(until_settled=None)
    finish(grid, {"elr": lambda seed: (-1) ** seed, "gce": lambda seed: (-1) ** seed})
    assert next_round(grid) is None


def test_tables_of_one_name_count_each_for_itself(make):
    for number, folder in enumerate(("ta", "tb")):
        Path(folder).mkdir()
        write_csv(Path(folder, "x.csv"), review_rows(seed=number))
    grid = make(methods="plain,elr", tasks="ta/x.csv,tb/x.csv", llms="ann")
    for folder, gain in (("ta", 2), ("tb", 6)):
        own = [cell for cell in grid.cells if cell.origin.endswith(f"{folder}/x.csv")]
        assert len(own) == 6
        finish(dataclasses.replace(grid, cells=own), {"elr": lambda seed, gain=gain: gain + 0.1 * seed})
    (gap,) = settle.differences(grid).values()
    assert gap.mean == pytest.approx(4.2)
    assert gap.n == 3


def test_encoders_of_one_name_and_variants_of_a_method_are_each_settled_and_named(make, tiny_bert):
    write_tiny_bert(Path("other") / tiny_bert.name)
    text = (Path("other") / tiny_bert.name / "config.json").read_text(encoding="utf-8")
    (Path("other") / tiny_bert.name / "config.json").write_text(text + "\n", encoding="utf-8")  # another revision
    grid = make(
        methods="plain,elr,elr[momentum=0.5]", llms="ann", encoder=f"{tiny_bert}:frozen,other/{tiny_bert.name}:frozen"
    )
    assert len({cell.key.encoder_revision for cell in grid.cells}) == 2
    gains = {}
    for cell in grid.cells:
        elr, other = cell.key.config.get("momentum"), cell.encoder.name.startswith("other/")
        gain = gains.setdefault((cell.variant, other), len(gains) if elr else 0)
        finish(dataclasses.replace(grid, cells=[cell]), {"elr": lambda seed, gain=gain: gain + 0.1 * (-1) ** seed})
    found = settle.differences(grid)
    assert {name: round(gap.mean) for name, gap in found.items()} == {
        f"{variant} ({folder}/{tiny_bert.name}:frozen)": gains[variant, folder == "other"]
        for variant in ("elr", "elr[momentum=0.5]")
        for folder in ("other", tiny_bert.parent.name)
    }
    assert all(name in sentences(grid)[0] for name in found)


def test_only_what_was_compared_is_called_settled(make):
    grid = make(methods="plain,elr,gce")
    assert sentences(grid) == ["nothing could be compared with plain: no method has a score beside one of its cells"]
    for cell in grid.cells:
        if cell.key.method != "gce":  # its cells fail
            finish(dataclasses.replace(grid, cells=[cell]), {"elr": lambda seed: 5 + 0.1 * seed})
    (sentence,) = sentences(grid)
    assert sentence.startswith("settled with 3 seeds")
    assert "for elr (" in sentence
    assert "gce" not in sentence


def test_cells_that_are_queued_cannot_be_settled(make):
    with pytest.raises(UsageError, match="leave out wait=false"):
        check_settling(make(executor="slurm[wait=false]"))


def test_a_failed_cell_ends_the_run_with_1_and_is_not_tried_again_for_every_seed_that_is_added(
    bench, reviews, tiny_bert, instant, monkeypatch
):
    Path("trap").touch()
    monkeypatch.setattr(settle, "unsettled", lambda made: {"elr": stats.mean_interval([0.0, 1.0])})
    methods = f"plain,{instant}[trap=trap,log=log.txt]"
    words = ["--methods", methods, "--tasks", reviews, "--llms", "ann", "--epochs", 1]
    done = bench("run", *words, "--encoder", f"{tiny_bert}:frozen", "--seeds", "1-3", "--until-settled", "5")
    assert done.exit_code == 1, done.stderr
    assert "adding seed 5" in done.stdout
    assert len(Path("log.txt").read_text().splitlines()) == 5  # one per seed
    Path("trap").unlink()
    words += ["--encoder", f"{tiny_bert}:frozen", "--seeds", "1-3", "--until-settled", "4"]
    assert bench("run", *words).exit_code == 0


def test_a_job_of_a_cluster_adds_no_seeds(bench, reviews, tiny_bert):
    words = ["--methods", "plain,elr", "--tasks", reviews, "--llms", "ann", "--encoder", f"{tiny_bert}:frozen"]
    done = bench("run", *words, "--epochs", 1, "--seeds", "1", "--until-settled", "5", "--one-round")
    assert done.exit_code == 0, done.stderr
    assert {(record.key.seed, record.until_settled) for record in records()} == {(1, 5)}


@pytest.mark.parametrize(
    ("seeds", "most", "said"),
    [
        ("1-5", 3, "--until-settled 3 is the number of seeds to end at, and --seeds names 5 already"),
        ("1-3", 3, "names 3 already, so none would be added: name a larger number, or leave --until-settled out"),
        ("4294967294-4294967295", 4, "would add seeds up to 4294967297, and the largest is 4294967295"),
    ],
)
def test_seeds_that_cannot_be_added_are_refused_before_anything_runs(make, seeds, most, said):
    with pytest.raises(UsageError, match=said):
        check_settling(make(seeds=seeds, until_settled=most))


def test_the_largest_seed_can_be_added(make):
    grid = make(seeds="4294967292-4294967294", until_settled=4)
    check_settling(grid)
    finish(grid, {"elr": lambda seed: (-1) ** seed, "gce": lambda seed: 9 + 0.1 * seed})
    assert next_round(grid).options.seeds[-1] == 2**32 - 1


def test_force_runs_the_seeds_that_are_added_again_too(bench, reviews, tiny_bert, instant, monkeypatch):
    monkeypatch.setattr(settle, "unsettled", lambda made: {"instant": stats.mean_interval([0.0, 1.0])})
    words = ["run", "--methods", f"plain,{instant}[log=log.txt]", "--tasks", reviews, "--llms", "ann", "--epochs", 1]
    words += ["--encoder", f"{tiny_bert}:frozen", "--seeds", "1", "--until-settled", "3"]
    assert bench(*words).exit_code == 0
    assert bench(*words).exit_code == 0
    assert len(Path("log.txt").read_text().splitlines()) == 3
    assert bench(*words, "--force").exit_code == 0
    assert sorted(Path("log.txt").read_text().splitlines()) == [f"ann {seed}" for seed in (1, 1, 2, 2, 3, 3)]


@pytest.mark.parametrize("methods", ["elr,gce", "plain"])
def test_there_must_be_something_to_compare(make, methods):
    with pytest.raises(UsageError, match="name plain and another in --methods"):
        check_settling(make(methods=methods))


def test_the_command_adds_seeds_resumes_and_the_report_says_so(bench, tmp_path, reviews, tiny_bert):
    words = ["run", "--methods", "plain,elr", "--tasks", reviews, "--llms", "ann", "--encoder", f"{tiny_bert}:frozen"]
    words += ["--epochs", "1", "--seeds", "1,2,3", "--until-settled", "4", "--results", tmp_path / "r"]
    done = bench(*words)
    assert done.exit_code == 0, done.stderr
    found = records(tmp_path / "r")
    assert {record.until_settled for record in found} == {4}
    assert all(record.seconds["processor"] > 0 for record in found)
    assert all(use.processor is not None for record in found for use in record.stages)
    seeds = sorted({record.key.seed for record in found})
    assert ("adding seed 4" in done.stdout) == (seeds == [1, 2, 3, 4])
    assert ("not settled with 4 seeds" in done.stdout) or ("settled with" in done.stdout)
    again = bench(*words)
    assert again.exit_code == 0, again.stderr
    assert len(records(tmp_path / "r")) == len(found) == 2 * len(seeds)
    assert "cached" in again.stdout
    cells = frame.load(tmp_path / "r").cells
    (sentence,) = (text for text in doubt_sentences(cells, blocks(cells, "plain"), "last") if "Seeds added" in text)
    assert "or up to 4 seeds" in sentence
    refused = bench("run", "--methods", "plain", *words[3:])
    assert refused.exit_code == 2
    assert "name plain and another in --methods" in refused.stderr
