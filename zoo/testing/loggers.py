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
    """A logger's spec with the options to check it with."""

    spec: LoggerSpec
    options: Mapping[str, Any]

    def build(self, folder: Path, step: int = 0) -> Any:
        """The logger of a run in a folder."""
        return construct(self.spec, folder, step, **defaults(self.spec, self.options))

    def follow(self, folder: Path, *, first: int = 0, last: int = 4) -> None:
        """Note what a training of some steps has, as the harness does."""
        logger = self.build(folder, first)
        if not first:
            logger.settings(dict(SETTINGS))
        for step in range(first + 1, last + 1):
            logger.scalars({"loss/mean_ccc": 1 / step}, step)
        logger.scalars({"loss/epoch": 0.5, "score/val": float("nan"), "score/ccc_valence": 0.25, "lr": 1e-3}, last)
        logger.close()

    def conclude(self, folder: Path, step: int = 5) -> None:
        """Note what a finished run has."""
        logger = self.build(folder, step)
        picture = folder.parent / "scores.png"
        cv2.imwrite(str(picture), np.full((8, 12, 3), 99, np.uint8))
        if getattr(logger, "pictures", True):
            logger.figure("scores", picture)
        picture.unlink()
        logger.record(copy.deepcopy(RECORD))
        logger.close()


def logger_checks(spec: LoggerSpec, **options: Any) -> list[Check]:
    """Every rule for a logger, one by one."""
    return checks_of(spec.name, RULES, LoggerCase(spec, options))


def check_logger(spec: LoggerSpec, **options: Any) -> None:
    """Every rule for a logger; ConformanceError at the first one broken."""
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
    """A logger that is declared local opens no connection.

    Names of videos and scores of unpublished work must not leave the machine because a default changed."""
    if not case.spec.local:
        excuse("declared not local")
    with _folder() as folder, no_network():
        case.follow(folder)
        case.conclude(folder)


def kept(case: LoggerCase) -> None:
    """What a training notes is on disk when the logger is closed, beside the run or in it.

    A run may be ended right after; what was held back would be lost."""
    if not case.spec.local:
        excuse("declared not local")
    with _folder() as folder:
        before = _sizes(folder.parent)
        case.follow(folder)
        expect(sum(_sizes(folder.parent).values()) > sum(before.values()), "nothing is written")


def continued(case: LoggerCase) -> None:
    """A logger that is built again with a step goes on in the same folder, and keeps what was noted up to there.

    Runs are stopped and resumed, and figures and the record come from a second one built after the training."""
    if not case.spec.local:
        excuse("declared not local")
    with _folder() as folder:
        case.follow(folder)
        before = sum(_sizes(folder.parent).values())
        case.follow(folder, first=4, last=6)
        expect(sum(_sizes(folder.parent).values()) >= before, "what was noted before the stop is gone")
        case.conclude(folder, 7)


def own_files(case: LoggerCase) -> None:
    """A logger writes over none of the run's own files.

    The record, the history and the weights are compared with digests when they are read again."""
    with _folder() as folder:
        own = {name: f"the run's own {name}" for name in ("config.toml", "record.json", "history.csv", "report.html")}
        for name, text in own.items():
            (folder / name).write_text(text)
        case.follow(folder)
        case.conclude(folder)
        changed = [name for name, text in own.items() if (folder / name).read_text() != text]
        expect(not changed, f"it writes over {', '.join(changed)}")


def given_untouched(case: LoggerCase) -> None:
    """A logger does not change what it is given.

    The record is written to disk from the same object."""
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
