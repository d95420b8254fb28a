"""Rules for loggers: settings, values at steps, pictures and the record of a run, in the run's folder."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoo.api import LoggerSpec
from zoo.testing.comparisons import defaults, no_network
from zoo.testing.rules import Check, checks_of, construct, excuse, expect, run_all

SETTINGS = {
    "encoders": "face,audio",
    "train.lr": 3e-4,
    "train.epochs": 2,
    "fit": "",
    "zero_shot": False,
    "edition": None,
}
RECORD = {"name": "run", "status": "done", "result": {"scores": {"raw": {"main": 0.5, "parts": {"ccc_valence": None}}}}}


@dataclass(frozen=True)
class LoggerCase:
    """A logger's spec with the options to check it with.

    Attributes:
        spec: The logger's spec.
        options: Options in place of the defaults.
    """

    spec: LoggerSpec
    options: Mapping[str, Any]

    def build(self, folder: Path, step: int = 0) -> Any:
        """Build the logger of a run.

        Args:
            folder: The folder of the run.
            step: Last step of the earlier part of the run; 0 for a new run.

        Returns:
            The logger.
        """
        return construct(self.spec, folder, step, **defaults(self.spec, self.options))

    def follow(self, folder: Path, *, first: int = 0, last: int = 4) -> None:
        """Log a training of a few steps, as the harness does.

        Args:
            folder: The folder of the run.
            first: Step after which the training begins; if 0, the settings are logged too.
            last: Last step.
        """
        logger = self.build(folder, first)
        if not first:
            logger.settings(dict(SETTINGS))
        for step in range(first + 1, last + 1):
            logger.scalars({"loss/mean_ccc": 1 / step}, step)
        logger.scalars({"loss/epoch": 0.5, "score/val": float("nan"), "score/ccc_valence": 0.25, "lr": 1e-3}, last)
        logger.close()

    def log_end(self, folder: Path, step: int = 5) -> None:
        """Log the figures and the record of a finished run, as the harness does.

        Args:
            folder: The folder of the run.
            step: Last step of the training.
        """
        logger = self.build(folder, step)
        picture = folder.parent / "scores.png"
        cv2.imwrite(str(picture), np.full((8, 12, 3), 99, np.uint8))
        if getattr(logger, "pictures", True):
            logger.figure("scores", picture)
        picture.unlink()
        logger.record(copy.deepcopy(RECORD))
        logger.close()


def logger_checks(spec: LoggerSpec, **options: Any) -> list[Check]:
    """Return every rule for a logger as a separate check.

    See ``head_checks`` for an example.

    Args:
        spec: The logger's spec.
        **options: Options in place of the defaults.

    Returns:
        One check for each rule.
    """
    return checks_of(spec.name, RULES, LoggerCase(spec, options))


def check_logger(spec: LoggerSpec, **options: Any) -> None:
    """Run every rule for a logger.

    See ``check_head`` for an example.

    Args:
        spec: The logger's spec.
        **options: Options in place of the defaults.

    Raises:
        ConformanceError: The first rule that is broken.
    """
    run_all(logger_checks(spec, **options))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place) / "runs" / "run"
        folder.mkdir(parents=True)
        yield folder


def _sizes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


# --- rules ------------------------------------------------------------------------------------------------------------


def offline(case: LoggerCase) -> None:
    """Check that a logger declared local opens no connection.

    Names of videos and scores of unpublished work must not leave the machine because a default changed.
    """
    if not case.spec.local:
        excuse("declared not local")
    with _folder() as folder, no_network():
        case.follow(folder)
        case.log_end(folder)


def kept(case: LoggerCase) -> None:
    """Check that logged values are on disk, in the run's folder or next to it, when the logger is closed.

    The process may end right after that, and values still in memory would be lost.
    """
    if not case.spec.local:
        excuse("declared not local")
    with _folder() as folder:
        before = _sizes(folder.parent)
        case.follow(folder)
        expect(sum(_sizes(folder.parent).values()) > sum(before.values()), "nothing is written")


def continued(case: LoggerCase) -> None:
    """Check that a logger built again with a step continues in the same folder and keeps the values up to that step.

    Runs are stopped and resumed, and the figures and the record are logged by a second logger built after training.
    """
    if not case.spec.local:
        excuse("declared not local")
    with _folder() as folder:
        case.follow(folder)
        before = sum(_sizes(folder.parent).values())
        case.follow(folder, first=4, last=6)
        expect(sum(_sizes(folder.parent).values()) >= before, "what was noted before the stop is gone")
        case.log_end(folder, 7)


def own_files(case: LoggerCase) -> None:
    """Check that a logger does not overwrite the run's own files.

    The record, the history and the weights are compared with digests when they are read again.
    """
    with _folder() as folder:
        own = {name: f"the run's own {name}" for name in ("config.toml", "record.json", "history.csv", "report.html")}
        for name, text in own.items():
            (folder / name).write_text(text)
        case.follow(folder)
        case.log_end(folder)
        changed = [name for name, text in own.items() if (folder / name).read_text() != text]
        expect(not changed, f"it writes over {', '.join(changed)}")


def given_untouched(case: LoggerCase) -> None:
    """Check that a logger does not change its arguments.

    The record is written to disk from the same object.
    """
    with _folder() as folder:
        logger = case.build(folder)
        settings, values, content = dict(SETTINGS), {"loss/epoch": 0.5}, copy.deepcopy(RECORD)
        logger.settings(settings)
        logger.scalars(values, 1)
        logger.record(content)
        logger.close()
        same = settings == SETTINGS and values == {"loss/epoch": 0.5} and json.dumps(content) == json.dumps(RECORD)
        expect(same, "it changes what it is given")


RULES = (offline, kept, continued, own_files, given_untouched)
