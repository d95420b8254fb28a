"""The Python API of the harness, available as ``import harness``. The command line uses the same functions.

Errors that a command prints as one line are raised here as ``zoo.errors.UserError``, with a stable ``code`` and the
``fields`` from which its text is made. Every example is run by tests/harness/test_api_examples.py in a folder with a
finished run ``runs/mine``, a demo set ``demo`` and a video ``video.mp4``.
"""

from __future__ import annotations

from harness.api.comparing import compare
from harness.api.evaluating import evaluate
from harness.api.finished import Run, load
from harness.api.predicting import encoders, predict
from harness.api.training import run, sweep

__all__ = ["Run", "compare", "encoders", "evaluate", "load", "predict", "run", "sweep"]
