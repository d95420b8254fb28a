"""Pin all resolved packages, so that the project installs next year as it does today.

    uv run --no-project scripts/pin.py              # resolve again, as of today; write pyproject.toml, constraints.txt
    uv run --no-project scripts/pin.py --keep-day   # as of the recorded day: a new package changes no other
    uv run --no-project scripts/pin.py --unpinned   # in a copy of the checkout: remove all pins

There is one resolution for all Pythons and systems that pyproject.toml admits, over all extras and groups. It goes into
``[tool.uv] constraint-dependencies`` for uv and into ``constraints.txt`` for pip, with names and versions only: a
uv.lock would name the hosts that packages came from. ``--unpinned`` removes both, and the date; torch, torchvision and
torchaudio, which are pinned exactly because they are compiled for one another, get the ranges of ``[tool.pin]`` again.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "# --- written by scripts/pin.py ", "# --- end of what scripts/pin.py writes"
HEAD = """\
# Written by scripts/pin.py: the versions that this project is tested with, for `pip install -c constraints.txt`.
# uv takes the same ones from pyproject.toml.
"""


def main() -> None:
    """Pin, or remove the pins."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unpinned", action="store_true", help="remove all pins from this checkout: work on a copy")
    parser.add_argument("--keep-day", action="store_true", help="resolve as of the day of the last resolution")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout")
    chosen = parser.parse_args()
    project, constraints = chosen.root / "pyproject.toml", chosen.root / "constraints.txt"
    text = project.read_text(encoding="utf-8")
    if chosen.unpinned:
        project.write_text(unpinned(text), encoding="utf-8")
        constraints.unlink(missing_ok=True)
        return
    day = day_of(text) if chosen.keep_day else datetime.datetime.now(datetime.UTC).date()
    pins, build = resolve(without_block(text), day), resolve_build(text, day)
    project.write_text(with_block(text, pins, build, day), encoding="utf-8")
    constraints.write_text(HEAD + "\n".join(pins) + "\n", encoding="utf-8")
    print(f"{len(pins)} packages pinned")


def day_of(text: str) -> datetime.date:
    """Return the day of the last resolution."""
    found = re.search(rf"^{re.escape(BEGIN)}on (\S+) ---$", text, re.MULTILINE)
    if found is None:
        raise SystemExit("pyproject.toml has no pins, so no day to keep; leave --keep-day out")
    return datetime.date.fromisoformat(found[1])


def resolve(project: str, day: datetime.date) -> list[str]:
    """Return every package as ``name==version``, with a marker of Python versions if those differ."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text(project, encoding="utf-8")
        for name in ("README.md", "LICENSE"):
            (Path(folder) / name).touch()
        exported = _uv(
            folder,
            "export",
            "--all-extras",
            "--all-groups",
            "--no-hashes",
            "--no-header",
            "--no-annotate",
            "--no-emit-project",
            "--quiet",
            "--exclude-newer",
            _midnight(day),
        )
    return pins_of(exported)


def pins_of(exported: str) -> list[str]:
    """Return the lines of ``uv export`` without markers of systems: a constraint on an absent package does nothing."""
    versions: dict[str, list[tuple[str, str]]] = {}
    for line in exported.splitlines():
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        name, equals, version = requirement.partition("==")
        if not equals or not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            raise SystemExit(f"cannot be pinned by name and version: {line}")
        versions.setdefault(name, []).append((version, marker))
    return [pin for name in sorted(versions) for pin in _pins(name, versions[name])]


def _pins(name: str, versions: list[tuple[str, str]]) -> list[str]:
    if len({version for version, _ in versions}) == 1:
        return [f"{name}=={versions[0][0]}"]
    pins = []
    for version, marker in versions:
        bounds = sorted(set(re.findall(r"python_full_version (?:[<>]=?|==|!=) '[^']+'", marker)))
        if not bounds or " or " in marker:
            raise SystemExit(f"{name} has several versions, and not by Python's alone: {version} ; {marker}")
        pins.append(f"{name}=={version} ; {' and '.join(bounds)}")
    return pins


def resolve_build(project: str, day: datetime.date) -> list[str]:
    """Return the packages that build the project, and everything that they need."""
    wanted = tomllib.loads(project)["build-system"]["requires"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in.txt").write_text("\n".join(wanted), encoding="utf-8")
        compiled = _uv(
            folder,
            "pip",
            "compile",
            "in.txt",
            "--universal",
            "--no-header",
            "--no-annotate",
            "--quiet",
            "--exclude-newer",
            _midnight(day),
        )
    return pins_of(compiled)


def _uv(folder: str, *arguments: str) -> str:
    done = subprocess.run(["uv", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"uv {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _midnight(day: datetime.date) -> str:
    return f"{day}T00:00:00Z"


def without_block(text: str) -> str:
    """Return pyproject.toml without this script's block."""
    return re.sub(rf"(?ms)^{re.escape(BEGIN)}.*?^{re.escape(END)}\n", "", text)


def with_block(text: str, pins: list[str], build: list[str], day: datetime.date) -> str:
    """Return pyproject.toml with the pins, at the end of its table of uv."""
    block = "\n".join(
        [
            f"{BEGIN}on {day} ---",
            f'exclude-newer = "{_midnight(day)}"',
            "constraint-dependencies = [",
            *(f'    "{pin}",' for pin in pins),
            "]",
            "build-constraint-dependencies = [",
            *(f'    "{pin}",' for pin in build),
            "]",
            END,
        ]
    )
    head, table, rest = without_block(text).partition("[tool.uv]\n")
    if not table:
        raise SystemExit("pyproject.toml has no table [tool.uv]")
    settings, next_table, tail = rest.partition("\n[")
    return f"{head}{table}{settings.rstrip()}\n{block}\n{next_table}{tail}"


def unpinned(text: str) -> str:
    """Return pyproject.toml without any pin, with ranges only."""
    for name, bounds in tomllib.loads(text)["tool"]["pin"]["ranges"].items():
        text, changed = re.subn(rf'"{name}==[^"]+"', f'"{name}{bounds}"', text)
        if not changed:
            raise SystemExit(f"pyproject.toml does not pin {name}")
    return without_block(text)


if __name__ == "__main__":
    main()
