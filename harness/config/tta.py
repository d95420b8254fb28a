"""Settings of test-time augmentation: several predictions of the same frames that are averaged. Off by default."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from harness.config.section import Section
from zoo.errors import UserError


def _numbers(value: Any) -> Any:
    """Take ``1+2``, as the command line gives it, or one number, as a list of numbers."""
    if isinstance(value, str):
        return tuple(value.split("+"))
    return (value,) if isinstance(value, int) else value


class Tta(Section):
    """Test-time augmentation. Its predictions are averaged as an ensemble's (harness.evaluation.merging)."""

    flip: bool = Field(False, description="also predict from mirrored pictures, and average")
    views: int = Field(0, ge=0, description="also predict from N augmented views of each video, and average")
    strides: Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_numbers)] = Field(
        (),
        description="predict at every Nth frame, from each of the first N frames on, for each N given (1+2), and "
        "average; left out: the stride of the training",
    )

    @property
    def used(self) -> bool:
        """True if anything is averaged."""
        return self != Tta()


def tta_sets(text: str) -> list[str]:
    """Return the settings ``tta.KEY=VALUE`` that a text such as ``flip,views=4,strides=1+2`` stands for.

    Raises:
        UserError: A part is unknown or has no value.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if name in found or not ((name == "flip" and not equals) or (name in ("views", "strides") and value)):
            raise UserError("tta-invalid", got=text)
        found[name] = value if equals else "true"
    return [f'tta.{name}="{value}"' if name == "strides" else f"tta.{name}={value}" for name, value in found.items()]
