"""``python -m harness.benchmarks.subprocess_entry MODULE:FUNCTION ARGS``: one call in a process of its own."""

from __future__ import annotations

import importlib
import json
import sys


def main() -> None:
    """Call the function with the JSON list of arguments; print its result and its peak memory."""
    from harness.runtime.memory import peak_mb

    module, _, name = sys.argv[1].partition(":")
    result = getattr(importlib.import_module(module), name)(*json.loads(sys.argv[2]))
    print("CHILD " + json.dumps({"result": result, "peak_mb": round(peak_mb(), 1)}))


if __name__ == "__main__":
    main()
