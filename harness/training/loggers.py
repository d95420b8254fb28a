"""Loggers of a run under way: one that fails warns once and is left out; a training never ends for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.api import LoggerSpec, Scalar
from zoo.errors import UserError, first_line
from zoo.registry.plan import Block
from zoo.registry.registry import resolve
from zoo.text import visible


class Loggers:
    """The loggers of a run.

    Args:
        blocks: The loggers that were chosen, with their options.
        folder: The run's folder.
        step: The optimiser steps that were taken before; 0 for a new run.
    """

    def __init__(self, blocks: Sequence[Block[LoggerSpec]], folder: Path, step: int) -> None:
        self._open: dict[str, Any] = {}
        for block in blocks:
            self._try(
                block.spec.name,
                lambda block=block: self._open.update(  # type: ignore[misc]
                    {block.spec.name: resolve(block.spec.build)(folder, step, **block.options)}
                ),
            )

    @property
    def pictures(self) -> bool:
        """True if any of them takes pictures."""
        return any(getattr(logger, "pictures", True) for logger in self._open.values())

    def settings(self, values: Mapping[str, Any]) -> None:
        """Note the settings of the run, by their dotted names; lists become texts."""
        plain: dict[str, Scalar] = {
            name: value if isinstance(value, str | int | float) else ", ".join(map(str, value))
            for name, value in values.items()
        }
        self._all(lambda logger: logger.settings(dict(plain)))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Note values at a step."""
        self._all(lambda logger: logger.scalars(dict(values), step))

    def figure(self, name: str, path: Path) -> None:
        """Note a picture, a PNG."""
        self._all(lambda logger: logger.figure(name, path) if getattr(logger, "pictures", True) else None)

    def record(self, content: Mapping[str, Any]) -> None:
        """Note the record of the finished run."""
        self._all(lambda logger: logger.record(content))

    def close(self) -> None:
        """Close them all."""
        self._all(lambda logger: logger.close())

    def _all(self, work: Callable[[Any], object]) -> None:
        for name, logger in list(self._open.items()):
            self._try(name, lambda logger=logger: work(logger))  # type: ignore[misc]

    def _try(self, name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # whatever it is, the training goes on
            self._open.pop(name, None)
            said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"
            line = f"warning: the logger {name} failed and is left out ({said})"
            print(visible(line), file=sys.stderr, flush=True)
