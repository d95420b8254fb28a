"""SIGKILL at random moments of every stage: nothing half-written is accepted, and the same command goes on to the end.

    uv run python tests/benchmarks/kills.py [--kills 100] [--seed 0] [--json OUT] [STAGE ...]

Each stage is first done undisturbed. Then, as often as asked: begun anew, killed with all its processes at a random
moment of that duration, looked at (what the stage's own verifier and readers accept must be whole), and repeated by
the same command, killed again in two of three cases, until it ends by itself. What it made then is compared with the
undisturbed: the bytes where they are promised, else the values. The exit code is 1 where anything differed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tabulate import tabulate

from tests.benchmarks.kill_stages import Stage, stages

MOST = 4  # kills of one repetition, so that each comes to its end


@dataclass
class Tally:
    """What came of a stage. ``seconds``: undisturbed; ``resumed``: repetitions brought to their end by the same command;
    ``wrong``: a line for whatever should not have been."""

    name: str
    seconds: float = 0.0
    kills: int = 0
    missed: int = 0  # the stage had ended before the blow
    resumed: int = 0
    wrong: list[str] = field(default_factory=list)


def run(stage: Stage, place: Path, seconds: float | None = None) -> tuple[int | None, str]:
    """The stage's command in its own process group; killed, all of it, after ``seconds``: then the code is None."""
    environment = os.environ | {"ABAW_ZOO_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "harness.cli", *stage.command(place)]
    with (place / "log").open("w+") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=place, start_new_session=True
        )
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
        log.seek(0)
        return code, log.read()[-600:]


def disturb(stage: Stage, folder: Path, kills: int, dice: random.Random, told: bool = True) -> Tally:
    """Kill a stage so often, and compare what it makes in the end with what it makes undisturbed."""
    tally = Tally(stage.name)
    (whole := folder / "whole").mkdir(parents=True)
    stage.prepare(whole)
    began = time.perf_counter()
    code, said = run(stage, whole)
    tally.seconds = round(time.perf_counter() - began, 1)
    if code != 0:
        tally.wrong.append(f"undisturbed it ended with {code}: {said}")
        return tally
    expected = stage.outcome(whole)
    number = 0
    while tally.kills < kills and number < 3 * kills:
        number += 1
        (place := folder / f"{number}").mkdir()
        stage.prepare(place)
        _one(stage, place, expected, tally, min(kills - tally.kills, MOST), dice)
        if told:
            print(f"{stage.name}: {tally.kills} kills, {len(tally.wrong)} wrong", file=sys.stderr, flush=True)
        subprocess.run(["rm", "-rf", str(place)], check=True)
    return tally


def _one(stage: Stage, place: Path, expected: object, tally: Tally, most: int, dice: random.Random) -> None:
    """One repetition, up to ``most`` kills."""
    for blow in range(most):
        if blow and dice.random() > 2 / 3:
            break
        code, said = run(stage, place, dice.uniform(stage.earliest, max(tally.seconds, stage.earliest + 0.5)))
        if code is not None:
            tally.missed += 1
            break
        tally.kills += 1
        tally.wrong += [f"after a kill: {found}" for found in stage.accepted(place)]
    code, said = run(stage, place)
    if code != 0 and not (stage.finished and stage.finished in said):
        tally.wrong.append(f"the same command ended with {code}: {said}")
        return
    tally.resumed += 1
    found = stage.outcome(place)
    if found != expected:
        tally.wrong.append(f"another result: {_difference(found, expected)}")
    tally.wrong += [f"left behind: {path}" for path in stage.left(place)]


def _difference(found: object, expected: object) -> str:
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = [key for key in {*found, *expected} if found.get(key) != expected.get(key)]
        return ", ".join(f"{k}: {str(found.get(k))[:60]} not {str(expected.get(k))[:60]}" for k in sorted(keys)[:4])
    return f"{str(found)[:150]} not {str(expected)[:150]}"


def table(tallies: Sequence[Tally]) -> str:
    """A row a stage, and a line for whatever was wrong."""
    rows = [[t.name, t.seconds, t.kills, t.resumed, t.missed, len(t.wrong)] for t in tallies]
    rows.append(["all", sum(t.seconds for t in tallies), *(sum(row[i] for row in rows) for i in range(2, 6))])
    head = ["stage", "s undisturbed", "kills", "brought to its end", "ended before the kill", "wrong"]
    return "\n".join([tabulate(rows, head), *(f"{t.name}: {line}" for t in tallies for line in t.wrong)])


def main() -> None:
    """Kill, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("stages", nargs="*")
    parser.add_argument("--kills", type=int, default=100, help="over all stages")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as root:
        known = {stage.name: stage for stage in stages(Path(root))}
        if unknown := set(given.stages) - known.keys():
            parser.error(f"unknown {', '.join(unknown)}; there are {', '.join(known)}")
        names = given.stages or list(known)
        tallies = []
        for i, name in enumerate(names):
            kills = given.kills * (i + 1) // len(names) - given.kills * i // len(names)
            if kills:
                dice = random.Random(f"{given.seed} {name}")
                tallies.append(disturb(known[name], Path(root, "stages", name), kills, dice))
    print(table(tallies))
    if given.json:
        content = {"seed": given.seed, "stages": [asdict(tally) for tally in tallies]}
        given.json.write_text(json.dumps(content, indent=1))
    sys.exit(any(tally.wrong for tally in tallies))


if __name__ == "__main__":
    main()
