"""The GPU drill runs whole on a CPU: what needs a GPU is said to be skipped, the rest passes."""

from benchmarks import gpu_drill


def test_the_drill_runs_on_a_cpu_and_writes_its_file(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CPU", "1")
    out = tmp_path / "drill.md"
    assert gpu_drill.main(["--out", str(out)]) == 0
    rows = [line.strip("| ").split(" | ") for line in out.read_text().splitlines() if line.startswith("| ")][2:]
    seen = {row[0].split(",")[0]: row for row in rows}
    passed = [name for name, row in seen.items() if row[-1] == "passed"]
    assert {"bf16 logits", "bf16 training loss", "frozen grid"} <= set(passed)
    assert any(name.startswith("two processes on the CPU") for name in passed)
    skipped = {name for name, row in seen.items() if row[1].startswith("skipped: needs a GPU")}
    assert skipped == {"peak memory", "out of memory", "frozen grid on GPU and CPU"}
    assert "failed" not in out.read_text()


def test_a_check_that_breaks_is_a_failed_row_and_the_others_run(tmp_path, monkeypatch):
    def broken(setting):
        raise RuntimeError("no | kernel\nhere")

    for part in ("precision", "speed", "two_processes", "frozen_grid"):
        monkeypatch.setattr(gpu_drill, part, broken)
    monkeypatch.setenv("BENCH_CPU", "1")
    assert gpu_drill.main(["--out", str(tmp_path / "drill.md")]) == 1
    text = (tmp_path / "drill.md").read_text()
    assert text.count("RuntimeError: no / kernel here | **failed** |") == 4
    assert "| peak memory | skipped: needs a GPU |" in text
