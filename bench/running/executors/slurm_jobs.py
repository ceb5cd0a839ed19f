"""What `bench status` says of Slurm jobs: where each is in the queue, which cell it runs, where its log is."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path

from bench.running.events import Finished, Started, parse_message
from bench.store.folder import ResultsFolder

JOBS_FILE = "jobs.json"
SQUEUE_SECONDS = 30


def in_queue(ids: list[str]) -> dict[str, str]:
    """The jobs among `ids` that Slurm's queue holds, with their states; empty where there is no queue to ask."""
    if not ids:
        return {}
    arrays = ",".join(sorted({name.partition("_")[0] for name in ids}))
    command = ["squeue", "--noheader", "--array", "--format", "%i %T", "--jobs", arrays]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SQUEUE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    states = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if len(line.split()) == 2)
    return {name: states[name] for name in ids if name in states}


def job_lines(results: Path) -> list[str]:
    """One line per job: those in the queue, and the ended ones of the last submission."""
    paths = sorted(ResultsFolder(results).slurm.glob(f"*/{JOBS_FILE}"))
    submissions = [found for path in paths if (found := _read(path))]
    jobs = [(number, job) for number, submission in enumerate(submissions, 1) for job in submission["jobs"]]
    ids = [job["id"] for number, job in jobs if submissions[number - 1].get("cluster") == "slurm"]
    states = in_queue(ids)
    lines = []
    for number, job in jobs:
        state = states.get(job["id"], "ended")
        if state != "ended" or number == len(submissions):
            cell = _running(Path(job["events"])) if state == "RUNNING" else ""
            lines.append(f"job {job['id']}: {state.lower()}{f', at {cell}' if cell else ''}; log {job['log']}")
    return lines


def _read(path: Path) -> dict | None:
    try:
        found = json.loads(path.read_bytes())
        wanted = ("id", "log", "events")
        return found if all(isinstance(job[name], str) for job in found["jobs"] for name in wanted) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # torn or not ours: the records say what is done


def _running(events: Path) -> str:
    """The cell that a job began last and has not finished."""
    cell = ""
    with contextlib.suppress(OSError):
        for message in map(parse_message, events.read_bytes().splitlines()):
            if isinstance(message, Started | Finished):
                cell = message.cell if isinstance(message, Started) else ""
    return cell
