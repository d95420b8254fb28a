"""`harness pretrain --resume`: what may be given with it."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("given", [("--plugin", "mine.py"), ("--out", "elsewhere"), ("--epochs", "3"), ("--partial",)])
def test_nothing_that_would_be_ignored_is_accepted_with_resume(program: Any, given: tuple[str, ...]) -> None:
    program("pretrain", "--resume", "pretrained/one", *given).refused("pretrain-resume-mixed")
