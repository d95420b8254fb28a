"""The harness from Python: what ``import harness`` gives. The command line is thin over the same functions.

Everything that a command refuses in one line is an exception here, ``zoo.errors.UserError``, with a ``code`` that stays
the same and the ``fields`` that its text is made from. Every example is run by tests/harness/test_api_examples.py, in a
folder with a finished run ``runs/mine``, a demo set ``demo`` and a video ``video.mp4``.
"""

from __future__ import annotations

from harness.api.comparing import compare
from harness.api.finished import Run, load
from harness.api.predicting import encoders, predict
from harness.api.training import run, sweep

__all__ = ["Run", "compare", "encoders", "load", "predict", "run", "sweep"]
