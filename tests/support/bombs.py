"""Files that need far more memory than their size: read in a process with limited and measured memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT

ROOM = 1 << 30
"""Bytes that a reader may allocate in addition to those at its start.

A bomb that goes off is then a MemoryError, and does not take the machine down.
"""

_CHILD = """
import json, resource, sys
from importlib import import_module
from pathlib import Path
from zoo.errors import UserError

module, name, files, arguments = json.loads(sys.argv[1])
read = getattr(import_module(module), name)
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + {room}, -1))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for file in files:
    try:
        read(Path(file), **arguments)
        code, text = "", ""
    except UserError as error:
        code, text = error.code, str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print("READ " + json.dumps([code, text, grown / 1024]), flush=True)
"""


class Reading(NamedTuple):
    """Result of reading a file: the error's code ("" if it was read), its text, and the peak memory so far in MB."""

    code: str
    text: str
    grown: float


def read_in_child(
    reader: str, files: Sequence[Path], arguments: Mapping[str, object] | None = None
) -> dict[str, Reading]:
    """Call ``reader`` ("module:function") with each file in one process; return the results by file name."""
    module, _, name = reader.partition(":")
    asked = json.dumps([module, name, [str(file) for file in files], dict(arguments or {})])
    child = _CHILD.replace("{room}", str(ROOM))
    done = subprocess.run([sys.executable, "-c", child, asked], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.removeprefix("READ ") for line in done.stdout.splitlines() if line.startswith("READ ")]
    return {file.name: Reading(*json.loads(line)) for file, line in zip(files, lines, strict=True)}
