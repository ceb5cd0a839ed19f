"""`make audit`: what it says of vulnerabilities, of an index without a list of them, and of licences."""

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def audit(monkeypatch):
    """The script, with pip-audit and pip-licenses answering as told."""
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.answers = {"pip_audit": "", "piplicenses": "[]"}

    def run(command, **_):
        return subprocess.CompletedProcess(command, 0, module.answers[command[2]], "no network\n")

    monkeypatch.setattr(module.subprocess, "run", run)
    return module


def package(name, **facts):
    return {"name": name, "version": "1", "vulns": []} | facts


def test_a_known_vulnerability_fails_and_names_the_fix(audit, capsys):
    hole = {"id": "CVE-1", "fix_versions": ["2"]}
    audit.answers["pip_audit"] = json.dumps({"dependencies": [package("a", vulns=[hole]), package("b")]})
    assert audit.main() == 1
    assert "a 1: CVE-1, fixed in 2\nvulnerabilities: 1 known in 2 packages checked" in capsys.readouterr().out


def test_what_could_not_be_checked_is_said_and_is_no_failure(audit, capsys):
    skipped = {"name": "b", "skip_reason": "Dependency not found"}
    audit.answers["pip_audit"] = json.dumps({"dependencies": [package("a"), skipped]})
    assert audit.main() == 0
    assert "1 of 2 packages NOT CHECKED" in capsys.readouterr().out
    audit.answers["pip_audit"] = ""
    assert audit.main() == 0
    assert "vulnerabilities: NOT CHECKED, pip-audit could not work here (it needs the network): no network" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("licence", "strict"),
    [
        ("MIT", False),
        ("GPL-3.0-only", True),
        ("GNU Affero General Public License v3", True),
        ("GNU Lesser General Public License v2 (LGPLv2)", False),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("MIT OR GPL-2.0", False),
    ],
)
def test_strong_copyleft_among_the_dependencies_fails(audit, licence, strict):
    audit.answers["piplicenses"] = json.dumps([{"Name": "NumPy", "Version": "1", "License": licence}])
    assert audit.main() == strict  # numpy is needed
    audit.answers["piplicenses"] = json.dumps([{"Name": "not-needed", "Version": "1", "License": licence}])
    assert audit.main() == 0
