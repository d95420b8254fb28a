"""Mutation testing: small changes to the code, one at a time, each of which a test must notice.

    uv run python tests/benchmarks/mutants.py [--list] [--jobs 1] [NAME ...]

The packages and the tests are copied to a temporary folder, so the checkout is never changed. There the tests are first
run on the code as it is: a test that fails anyway proves nothing. Then each mutant is put in, its tests are run, and it
is taken out again. A mutant whose tests all pass has survived: a test is missing. The exit code is 1 if one survives,
no longer applies, or cannot be judged. NAME may hold wildcards, as in 'key-*'.
"""

from __future__ import annotations

import argparse
import compileall
import itertools
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from queue import Queue

from tests.benchmarks.mutant import Mutant, StaleMutantError
from tests.benchmarks.mutants_robustness import ROBUSTNESS
from tests.benchmarks.mutants_science import SCIENCE

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("zoo", "plugins", "harness", "leaderboards", "tests", "pyproject.toml")
MUTANTS = (*SCIENCE, *ROBUSTNESS)
LIMIT = 300  # seconds for the tests of one mutant
THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}  # as tests/conftest.py has them
LIBRARIES = ("numpy", "torch", "torch._dynamo", "pandas", "pyarrow.csv", "scipy.stats", "sklearn.metrics", "cv2", "av")
"""Imported once for all mutants: they take longer than most tests."""
ELSEWHERE = 90  # exit code of a test run that imported code from outside the copy

# A pytest plugin, written beside the copy: the checkout is installed in this environment too, and a run that imported
# it instead of the copy would let every mutant survive.
PROOF = f"""
import importlib.util, sys
from pathlib import Path
import pytest

HERE = Path(__file__).resolve().parent
PACKAGES = {{"zoo", "plugins", "harness", "leaderboards", "tests"}}

def pytest_addoption(parser):
    parser.addoption("--mutated", default="")

def pytest_configure(config):
    if name := config.getoption("--mutated"):
        spec = importlib.util.find_spec(name)
        if spec is None or not Path(spec.origin).resolve().is_relative_to(HERE):
            pytest.exit(f"{{name}} is imported from {{spec and spec.origin}}, not from {{HERE}}", {ELSEWHERE})

def pytest_sessionfinish(session):
    files = {{n: getattr(m, "__file__", None) for n, m in list(sys.modules.items()) if n.partition(".")[0] in PACKAGES}}
    if away := [f for f in files.values() if f and not Path(f).resolve().is_relative_to(HERE)]:
        print("imported from elsewhere:", away[0])
        session.exitstatus = {ELSEWHERE}
"""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: ``caught``, ``survived`` or ``error``. ``detail``: the failing test, or what is wrong."""

    mutant: str
    outcome: str
    detail: str
    seconds: float = 0.0

    @property
    def line(self) -> str:
        """The verdict for people."""
        how = {"caught": "caught by", "survived": "SURVIVED:", "error": "ERROR:"}[self.outcome]
        return f"{self.mutant}: {how} {self.detail} ({self.seconds:.0f} s)"


class Copy:
    """A copy of the code below ``root``, with a program that runs tests on it; to be closed."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        for part in PARTS:
            if (source := root / part).is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.is_file():
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, folder / part)
        (folder / "mutant_proof.py").write_text(PROOF)
        # Bytecode is usually trusted by its source's size and second: a mutant may change neither.
        checked = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(folder, quiet=2, invalidation_mode=checked)
        environment = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"} | THREADS
        self.worker = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("mutant_worker.py")), str(LIMIT), *LIBRARIES],
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, tests: Sequence[str], module: str = "") -> tuple[int, str]:
        """Run tests until one fails; the exit code and what was printed. ``module``: must be the copy's own."""
        options = ["-n", "0", "-x", "-q", "--tb=line", "-p", "no:cacheprovider", "-p", "mutant_proof"]
        options += ["--rootdir", str(self.folder), "--basetemp", str(self.folder.with_name(f"{self.folder.name}-tmp"))]
        assert self.worker.stdin is not None
        assert self.worker.stdout is not None
        self.worker.stdin.write(json.dumps([*options, f"--mutated={module}", *tests]) + "\n")
        self.worker.stdin.flush()
        code, said = json.loads(self.worker.stdout.readline())
        return code, said

    def close(self) -> None:
        """End the program."""
        assert self.worker.stdin is not None
        self.worker.stdin.close()
        self.worker.wait()


def judge(mutant: Mutant, copy: Copy) -> Verdict:
    """Put a mutant into a copy, run its tests, take it out again."""
    began = time.perf_counter()
    path = copy.folder / mutant.file
    try:
        changed, before = mutant.changed(copy.folder), path.read_bytes()
    except StaleMutantError as error:
        return Verdict(mutant.name, "error", str(error).partition(": ")[2])
    try:
        path.write_text(changed, encoding="utf-8")
        code, said = copy.run(mutant.tests, mutant.module)
    finally:
        path.write_bytes(before)
    seconds = time.perf_counter() - began
    if code == 0:
        return Verdict(mutant.name, "survived", f"{mutant.fault} ({', '.join(mutant.tests)})", seconds)
    told = [line.split()[1] for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    failed = [test for test in told if "::" in test]  # else a file that could not even be imported
    if code == 1 and failed:
        return Verdict(mutant.name, "caught", failed[0], seconds)
    return Verdict(mutant.name, "error", f"pytest ended with {code}: {said.strip()[-400:]}", seconds)


def judge_all(mutants: Sequence[Mutant], root: Path, jobs: int = 1) -> list[Verdict]:
    """Judge mutants of the code below ``root``, ``jobs`` at a time, each in a copy of its own; print each verdict."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ExitStack() as ends:
        copies: Queue[Copy] = Queue()
        for job in range(jobs):
            copies.put(ends.enter_context(closing(Copy(root, Path(folder, f"copy-{job}")))))
        if refused := _baseline(mutants, copies.queue[0]):
            return [refused]
        done = itertools.count(1)

        def one(mutant: Mutant) -> Verdict:
            copy = copies.get()
            try:
                verdict = judge(mutant, copy)
            finally:
                copies.put(copy)
            print(f"[{next(done)}/{len(mutants)}] {verdict.line}", flush=True)
            return verdict

        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(one, mutants))


def _baseline(mutants: Sequence[Mutant], copy: Copy) -> Verdict | None:
    """The verdict that ends it all if the tests do not pass on the code as it is."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    began = time.perf_counter()
    code, said = copy.run(tests)
    seconds = time.perf_counter() - began
    if code == 0:
        print(f"without mutants: {len(tests)} tests and files pass ({seconds:.0f} s)", flush=True)
        return None
    verdict = Verdict("without mutants", "error", f"the tests must pass; {said.strip()[-600:]}", seconds)
    print(verdict.line, flush=True)
    return verdict


def chosen(names: Sequence[str]) -> list[Mutant]:
    """The mutants with these names, all without names; KeyError for a name that is none."""
    for name in names:
        if not any(fnmatchcase(mutant.name, name) for mutant in MUTANTS):
            raise KeyError(name)
    return [m for m in MUTANTS if not names or any(fnmatchcase(m.name, name) for name in names)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the chosen mutants; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants to run, all by default; may hold wildcards")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    given = parser.parse_args(arguments)
    try:
        mutants = chosen(given.names)
    except KeyError as error:
        parser.error(f"unknown mutant {error}; --list shows them")
    if given.list:
        for mutant in mutants:
            print(f"{mutant.name} ({mutant.file}): {mutant.fault}\n    {', '.join(mutant.tests)}")
        return 0
    verdicts = judge_all(mutants, ROOT, max(1, given.jobs))
    bad = [verdict for verdict in verdicts if verdict.outcome != "caught"]
    print(f"{len(verdicts) - len(bad)} of {len(mutants)} mutants caught")
    for verdict in bad:
        print(verdict.line)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
