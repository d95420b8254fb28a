"""A mutant: one small change to the code that some test must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class StaleMutantError(Exception):
    """A mutant that no longer applies: what it replaces is gone, or stands in several places."""


@dataclass(frozen=True)
class Mutant:
    """A change of ``old`` into ``new`` in ``file``, a path in the checkout.

    ``old`` must occur exactly once. ``tests``: pytest's names of the tests that must fail, ``FILE`` or ``FILE::TEST``.
    ``fault``: the fault of science or of robustness that the change stands for, in a line.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    fault: str

    @property
    def module(self) -> str:
        """The changed module's name."""
        return self.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def changed(self, root: Path) -> str:
        """Return the file's text below ``root`` with the change made.

        Raises:
            StaleMutantError: ``old`` does not occur exactly once.
        """
        path = root / self.file
        if not path.is_file():
            raise StaleMutantError(f"{self.name}: there is no {self.file}; adapt the mutant")
        text = path.read_text(encoding="utf-8")
        if (found := text.count(self.old)) != 1:
            raise StaleMutantError(
                f"{self.name}: {self.old!r} must occur once in {self.file}, got {found} times; adapt the mutant"
            )
        return text.replace(self.old, self.new)
