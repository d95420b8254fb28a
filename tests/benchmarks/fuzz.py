"""Spoilt and made-up files before every reader: nothing comes out but a value or the reader's own one-line error.

    uv run python tests/benchmarks/fuzz.py [--inputs 10000] [--seed 0] [--jobs N] [--json OUT] [NAME ...]

Half of a reader's inputs are real files with bytes, fields, lines, values or sizes changed, half are made up by
hypothesis in the format's shape. A crash is: any other exception, a message of several lines or without the file's
name, more than 10 s, more than 300 MB, anything opened, listed or written outside the folder given, a name looked up by
a pickle, a process or a connection begun, the death of the process. A process that dies is replaced. The exit code
is 1 where anything crashed; the first input of each crash is in the JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import queue
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tabulate import tabulate

from tests.benchmarks.fuzz_seeds import make_demo_set
from tests.benchmarks.fuzz_targets import targets
from tests.benchmarks.fuzz_worker import LONGEST, Count, work

SILENT = 30 * LONGEST  # seconds without a sign of life from a process


def fuzz(names: Sequence[str], inputs: int, number: int, jobs: int = 1) -> Iterator[Count]:
    """Count every target named, as they are done."""
    found: queue.Queue[Count] = queue.Queue()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, ThreadPoolExecutor(jobs) as pool:
        demo = make_demo_set(Path(folder, "demo"))
        parts = [part for job in range(jobs) if (part := list(names[job::jobs]))]
        done = [pool.submit(_watched, part, demo, Path(folder), inputs, number, found) for part in parts]
        for _ in names:
            while True:
                try:
                    yield found.get(timeout=1)
                    break
                except queue.Empty:
                    for future in done:  # an error in a thread is raised here
                        if future.done():
                            future.result()


def _watched(names: list[str], demo: Path, folder: Path, inputs: int, number: int, done: queue.Queue[Count]) -> None:
    """Count targets in one process, and in a new one after each that died or fell silent: that is a crash too."""
    while names:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(names, demo, folder, inputs, number, there), daemon=True)
        process.start()
        there.close()
        count = Count(names[0])
        with contextlib.suppress(EOFError):
            while names and here.poll(SILENT):
                kind, found = here.recv()
                count = Count(**found)
                if kind == "end":
                    done.put(count)
                    names = names[1:]
        if names:
            process.join(1)
            how = f"silent for {SILENT:g} s" if process.is_alive() else f"the process died ({process.exitcode})"
            count.crash(how, _last(folder / names[0]))
            done.put(count)
            names = names[1:]
        process.kill()
        process.join()


def _last(folder: Path) -> bytes:
    """What was written there last."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_mtime_ns).read_bytes() if files else b""


def table(counts: Sequence[Count]) -> str:
    """A row a reader and a line a crash."""
    rows = [[c.name, c.inputs, c.accepted, c.refused, sum(c.crashes.values()), c.peak_mb] for c in counts]
    total = ["all", *(sum(row[i] for row in rows) for i in range(1, 5)), max((c.peak_mb for c in counts), default=0)]
    head = ["reader", "inputs", "accepted", "refused", "crashes", "peak MB"]
    crashes = [f"{c.name}: {n} x {what}: {c.first[what][:200]}" for c in counts for what, n in c.crashes.items()]
    return "\n".join([tabulate([*rows, total], head, intfmt=","), *crashes])


def main() -> None:
    """Count, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="readers; all of them without a name")
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        known = list(targets(make_demo_set(Path(folder, "demo"))))
    if unknown := set(given.names) - set(known):
        parser.error(f"unknown {', '.join(unknown)}; there are {', '.join(known)}")
    began, counts = time.time(), []
    for count in fuzz(given.names or known, given.inputs, given.seed, given.jobs):
        counts.append(count)
        print(
            f"{count.name}: {count.inputs} inputs, {sum(count.crashes.values())} crashes", file=sys.stderr, flush=True
        )
        if given.json:  # an hour's work is not lost with its last minute
            content = {
                "seed": given.seed,
                "seconds": round(time.time() - began),
                "readers": [asdict(c) for c in counts],
            }
            given.json.write_text(json.dumps(content, indent=1))
    print(table(counts))
    sys.exit(any(count.crashes for count in counts))


if __name__ == "__main__":
    main()
