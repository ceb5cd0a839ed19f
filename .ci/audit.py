"""`make audit`: known vulnerabilities (pip-audit) and licences (pip-licenses) of the installed packages.

Exit code 1 when a package has a known vulnerability, or when the product depends on one under a strong copyleft
licence. Where no list of vulnerabilities can be reached, that is said and is no failure.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections import Counter

PRODUCT = "noisy-label-bench"
COPYLEFT = re.compile(r"\b(A?GPL|Affero|General Public License)", re.I)
LENIENT = re.compile(r"Lesser|LGPL|exception|\bOR\b", re.I)
SECONDS = 600


def main() -> int:
    """Print both reports."""
    vulnerable = vulnerabilities()
    print()
    strict = licences()
    return int(vulnerable or strict)


def vulnerabilities() -> bool:
    """Print what pip-audit found; whether anything is vulnerable."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--local",
        "--skip-editable",
        "--progress-spinner=off",
        "--format=json",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        print(f"vulnerabilities: NOT CHECKED, pip-audit did not end within {SECONDS} s")
        return False
    except (ValueError, KeyError):
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"vulnerabilities: NOT CHECKED, pip-audit could not work here (it needs the network): {why[:300]}")
        return False
    checked = [package for package in packages if "skip_reason" not in package]
    found = [(package, item) for package in checked for item in package["vulns"]]
    for package, item in found:
        fixed = ", ".join(item["fix_versions"]) or "no version yet"
        print(f"  {package['name']} {package['version']}: {item['id']}, fixed in {fixed}")
    print(f"vulnerabilities: {len(found)} known in {len(checked)} packages checked")
    if len(checked) < len(packages):
        left = len(packages) - len(checked)
        print(f"  {left} of {len(packages)} packages NOT CHECKED: the index in use tells no vulnerabilities of them")
    return bool(found)


def dependencies() -> set[str]:
    """Names of the packages that the product needs to run, themselves and through others."""
    wanted, waiting = set(), [PRODUCT]
    while waiting:
        name = normal(waiting.pop())
        if name in wanted:
            continue
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        wanted.add(name)
        waiting += [re.split(r"[^\w.-]", need, maxsplit=1)[0] for need in needs if "extra ==" not in need]
    return wanted


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licences() -> bool:
    """Print the licences of the product's dependencies; whether one is strong copyleft."""
    command = [sys.executable, "-m", "piplicenses", "--from=mixed", "--format=json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    wanted = dependencies()
    packages = [package for package in json.loads(done.stdout) if normal(package["Name"]) in wanted]
    for package in packages:  # some packages put the whole text where the name belongs
        package["License"] = " ".join(package["License"].split())[:300]
        print(f"  {package['Name']} {package['Version']}: {package['License'][:80]}")
    strict = [p for p in packages if COPYLEFT.search(p["License"]) and not LENIENT.search(p["License"])]
    kinds = ", ".join(f"{count} {name}" for name, count in Counter(p["License"][:40] for p in packages).most_common(5))
    print(f"licences: {len(packages)} packages that {PRODUCT} needs ({kinds}, ...)")
    for package in strict:
        print(f"  STRONG COPYLEFT: {package['Name']}: {package['License'][:80]}")
    return bool(strict)


if __name__ == "__main__":
    sys.exit(main())
