"""The card inside a file of weights that was trained here: all that is needed to build the network and to read it.

`harness pretrain` writes it into the metadata of a safetensors file, key ``network``, as JSON; ``face=checkpoint:FILE``
reads it, so that no option has to be repeated.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from zoo.errors import UserError, first_line
from zoo.weights.metadata import read_metadata

KEY = "network"
SQUASHES = ("tanh", "clamp")
VALUES = ("valence", "arousal")


@dataclass(frozen=True)
class NetworkCard:
    """Description of a network: how to build it, what its last layer predicts, what it was trained on.

    Attributes:
        model: timm's name of the architecture.
        size: Side of the input image in pixels.
        mean: Of R, G, B.
        std: Of R, G, B.
        classes: Names of the classes of the last layer, in order; they come before the values.
        values: Names of its values ("valence", "arousal").
        squash: "tanh" if a value is the tanh of the last layer's output, "clamp" if it is the output itself, clipped.
        saw: The data it was trained on, its starting weights included.
        license: The terms that its weights inherit.
        source: What made it.

    Raises:
        ValueError: A field is not what it should be.
    """

    model: str
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    squash: str = "clamp"
    saw: tuple[str, ...] = ()
    license: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("model", "squash", "license", "source"):
            _expect(isinstance(getattr(self, name), str), f"{name} is no text")
        for name in ("classes", "values", "saw"):
            _expect(_is_texts(getattr(self, name)), f"{name} is no list of texts")
        for name in ("mean", "std"):
            _expect(_is_rgb(getattr(self, name)), f"{name} is not three numbers")
        _expect(type(self.size) is int and self.size > 0, "size is no positive whole number")
        _expect(min(self.std) > 0, "std is not over 0")
        _expect(self.squash in SQUASHES, f"squash is none of {', '.join(SQUASHES)}")
        _expect(set(self.values) <= set(VALUES), f"values are not of {', '.join(VALUES)}")
        named = (*self.classes, *self.values)
        _expect(len(set(named)) == len(named), "a name of classes or values occurs twice")

    def metadata(self) -> dict[str, str]:
        """Return the card as metadata of a safetensors file."""
        return {KEY: json.dumps(asdict(self), sort_keys=True)}


def read_network_card(path: Path) -> NetworkCard | None:
    """Return the card in a file of weights; None if there is none, as in files of other programs.

    Raises:
        UserError: The file has a card that is damaged, or has fields that this version does not know. Without them the
            network would be built or read in another way than it was trained.
    """
    text = read_metadata(path).get(KEY) if path.is_file() else None
    if text is None:
        return None
    try:
        said = json.loads(text)
        if not isinstance(said, dict):
            raise ValueError("not a table")
        if unknown := sorted(said.keys() - {field.name for field in fields(NetworkCard)}):
            raise ValueError(f"unknown field {unknown[0]!r}")
        if lacking := sorted({"model", "size", "mean", "std"} - said.keys()):
            raise ValueError(f"no {lacking[0]!r}")
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in said.items()}
        return NetworkCard(**values)
    except (ValueError, RecursionError) as error:
        raise UserError("network-card-invalid", file=path, reason=first_line(error)) from None


def _expect(good: bool, wrong: str) -> None:
    if not good:
        raise ValueError(wrong)


def _is_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, str) for one in value)


def _is_rgb(value: object) -> bool:
    """Return True for three numbers; those of pictures are small."""
    numbers = value if isinstance(value, tuple) and len(value) == 3 else (math.nan,)
    return all(isinstance(x, int | float) and not isinstance(x, bool) and abs(x) < 1e6 for x in numbers)
