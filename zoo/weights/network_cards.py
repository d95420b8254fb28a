"""The card inside a file of weights that was trained here: all that is needed to build the network and to read it.

`harness pretrain` writes it into the metadata of a safetensors file, key ``network``, as JSON; ``face=checkpoint:FILE``
reads it, so that no option has to be repeated.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import safetensors

from zoo.errors import UserError

KEY = "network"


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

    def metadata(self) -> dict[str, str]:
        """Return the card as metadata of a safetensors file."""
        return {KEY: json.dumps(asdict(self), sort_keys=True)}


def read_network_card(path: Path) -> NetworkCard | None:
    """Return the card in a file of weights; None if there is none, as in files of other programs.

    Raises:
        UserError: The file has a card that is not one of this version.
    """
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, "np") as file:
            text = (file.metadata() or {}).get(KEY)
    except (safetensors.SafetensorError, OSError):
        return None  # reading the weights reports it
    if text is None:
        return None
    try:
        said = json.loads(text)
        known = {field.name for field in fields(NetworkCard)}
        if not isinstance(said, dict) or not known >= said.keys():
            return None  # another program's key of that name
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in said.items()}
        return NetworkCard(**values)
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError("network-card-invalid", file=path, reason=type(error).__name__) from None
