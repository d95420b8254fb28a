"""The user's own network from a file of weights: ``face=checkpoint:affectnet.pth``.

The file holds the weights of one of timm's architectures (zoo.weights.reading.read lists the formats). torchvision's
resnets have the same parameter names. ``model`` names the architecture, because the file does not contain it. A prefix
of the file's names (``module.``, ``backbone.``, ...) is removed; the prefix chosen is the one with which most names
match the network's. The classifier is used if ``classes`` names its order, and left out otherwise. The notes of the
record list these steps. A file of `harness pretrain` has a card that says all of this (zoo.weights.network_cards), so
that it needs no option. The seed system's AffectNet ResNet-50 (``model_state_dict``, seven classes in ``fc``) is such a
file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from plugins.encoders._checkpoint_cards import MEAN, STD, told_of
from plugins.encoders._checkpoint_names import best_prefix, check_classes, classifier_of, some, use_of
from plugins.encoders._timm_files import with_classifier
from zoo.api import FrameInput, ModelCard, OwnScores
from zoo.errors import UserError
from zoo.modules import FrameEncoder, OwnClassifier
from zoo.registry.suggestions import did_you_mean
from zoo.weights.loading import Adapted
from zoo.weights.network_cards import read_network_card

ENOUGH = 0.9  # fraction of the network's weights; a file with fewer belongs to another network


class Checkpoint(FrameEncoder):
    """Encoder with the user's own weights: (N, 3, size, size) -> (N, dim), the input of the network's classifier.

    ``argument``: the file. ``model``: timm's name of the architecture. ``size``: side of the input image in pixels.
    ``mean``, ``std``: of R, G, B. ``ema``: use averaged weights if the file has both. Raises UserError if the
    architecture is unknown or a number is invalid.
    """

    def __init__(
        self,
        stream: str,
        argument: str | None,
        model: str = "resnet50",
        size: int = 224,
        mean: tuple[float, ...] = MEAN,
        std: tuple[float, ...] = STD,
        strict: bool = True,
        classes: tuple[str, ...] = (),
        trained_on: tuple[str, ...] = (),
        sha256: str | None = None,
        ema: bool = False,
    ) -> None:
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0 or size < 1:
            raise UserError(
                f"encoder 'checkpoint': size {size}, mean {mean}, std {std}: three numbers each, std over 0"
            )
        told = told_of(argument, model, size, mean, std, classes)
        model, size, mean, std, classes = told.model, told.size, told.mean, told.std, told.classes
        net = _create(model, size)
        dim: Any = getattr(net, "head_hidden_size", None) or net.num_features
        super().__init__(dim=int(dim), input=FrameInput(size, _three(mean), _three(std)))
        self.net = net
        self.classifier = OwnClassifier(self.dim, len(classes)) if classes else None
        self.model, self.size, self.squashed = model, size, told.squashed

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (N, 3, H, W) to (N, dim)."""
        features: Tensor = self.net(images)
        return features

    def scores(self, features: Tensor) -> Tensor:
        """Return the logits (..., classes) of the file's own classifier for features (..., dim)."""
        if self.classifier is None:
            raise UserError("encoder 'checkpoint' has no predictions of its own: name the classes of its last layer")
        out: Tensor = self.classifier(features)
        if self.squashed:  # its values were trained through tanh
            out = torch.cat([out[..., : -self.squashed], out[..., -self.squashed :].tanh()], -1)
        return out

    def exported(self, weight: Tensor, bias: Tensor) -> tuple[str, dict[str, Tensor]]:
        """Return timm's name and the state of the network with a last layer (K, dim), for face=checkpoint:FILE."""
        state = with_classifier(self.model, self.net, partial(_create, self.model, self.size), weight, bias)
        return self.model, state


def passport(
    stream: str,
    argument: str | None,
    model: str = "resnet50",
    size: int = 224,
    mean: tuple[float, ...] = MEAN,
    std: tuple[float, ...] = STD,
    strict: bool = True,
    classes: tuple[str, ...] = (),
    trained_on: tuple[str, ...] = (),
    sha256: str | None = None,
    ema: bool = False,
) -> ModelCard:
    """Return the model card of the user's file.

    ``strict``: all names must match; otherwise at least ENOUGH of the weights must. ``ema``: use averaged weights if
    the file has both.
    """
    if argument is None:
        raise UserError("encoder 'checkpoint' needs a file of weights: write face=checkpoint:FILE")
    told = told_of(argument, model, size, mean, std, classes)
    model, size, mean, std, classes = told.model, told.size, told.mean, told.std, told.classes
    return ModelCard(
        name=Path(argument).name,
        sha256=sha256,
        license=told.card.license if told.card else "as the file's owner says",
        source="a local file, " + ("all of it" if strict else "what of it fits"),
        path=argument,
        saw=(*trained_on, *(one for one in (told.card.saw if told.card else ()) if one not in trained_on)),
        adapt=partial(adapt, model, size, strict, classes),
        classes=classes,
        ema=ema,
        fixed=told.fixed,
        input=f"{size} x {size} RGB, mean {', '.join(map(str, mean))}, std {', '.join(map(str, std))}",
    )


def adapt(model: str, size: int, strict: bool, classes: tuple[str, ...], state: Mapping[str, Tensor]) -> Adapted:
    """Rename the file's tensors to this encoder's names, and note the steps.

    The classifier is kept only if ``classes`` are given. Raises UserError if the file belongs to another network or the
    number of ``classes`` differs from that of its classifier.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # so that random values for tensors missing in the file are always the same
        net = _create(model, size)
    with torch.device("meta"):
        whole = _create(model, size, classes=1).state_dict()
    own = net.state_dict()
    heads = tuple({name.rpartition(".")[0] + "." for name in whole.keys() - own.keys()})
    prefix = best_prefix(state, own)
    notes = [f"{prefix!r} taken off {sum(name.startswith(prefix) for name in state)} names"] if prefix else []
    beside = [n for n in state if prefix and not n.startswith((prefix, *heads)) and n not in own]
    if beside:  # tensors outside the network's prefix, such as the weights of a loss
        notes.append(f"{len(beside)} beside {prefix!r} left out ({some(beside)})")
    short = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name not in beside}
    dropped = {name: tensor for name, tensor in short.items() if name.startswith(heads)}
    notes += check_classes(classes, dropped)
    found = _resampled(model, {name: t for name, t in short.items() if name not in dropped}, net)
    if not strict:
        found, more = _what_fits(model, found, own)
        notes += more
    own_last = classifier_of(dropped, classes)
    notes.append(f"{len(found)} tensors for {model}, {len(dropped)} of the classifier {use_of(classes, own_last)}")
    return Adapted({**{f"net.{name}": tensor for name, tensor in found.items()}, **own_last}, tuple(notes))


def own_scores(stream: str, argument: str | None, classes: tuple[str, ...] = (), **_options: object) -> OwnScores:
    """Return the classes and values that the user names, or the card inside the file."""
    if not classes and argument and (card := read_network_card(Path(argument).expanduser())):
        return OwnScores(card.classes, card.values)
    values = tuple(name for name in classes if name.lower() in ("valence", "arousal"))
    if classes[len(classes) - len(values) :] != values:
        raise UserError(
            f"encoder 'checkpoint': in classes valence and arousal must come last, got {', '.join(classes)}"
        )
    return OwnScores(classes[: len(classes) - len(values)], tuple(name.lower() for name in values))


def _resampled(model: str, state: dict[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """Resample position embeddings to the input size with timm's filter for the model family, if it has one."""
    if "pos_embed" not in state:
        return state
    family = sys.modules[timm.models.model_entrypoint(model.partition(".")[0]).__module__]
    filtered: dict[str, Tensor] = getattr(family, "checkpoint_filter_fn", lambda given, _: given)(state, net)
    return filtered


def _what_fits(model: str, found: dict[str, Tensor], own: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the network's tensors and notes on mismatches.

    A tensor comes from the file if name and shape match, and is random otherwise. Raises UserError if too few match.
    """
    fits = {name: t for name, t in found.items() if name in own and own[name].shape == t.shape}
    share = sum(own[name].numel() for name in fits) / sum(t.numel() for t in own.values())
    if share < ENOUGH:
        raise UserError(
            f"the file has only {share:.0%} of the weights of {model!r}, and {ENOUGH:.0%} are needed: "
            "name its network with --set encoder.SLOT.model=NAME"
        )
    lacking = [name for name in own if name not in fits]
    spare = [name for name in found if name not in fits]
    notes = [f"{len(lacking)} of the network not in the file, left random ({some(lacking)})"] if lacking else []
    notes += [f"{len(spare)} of the file not in the network, left out ({some(spare)})"] if spare else []
    return {name: fits.get(name, t) for name, t in own.items()}, notes


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    return values[0], values[1], values[2]


def _create(model: str, size: int, classes: int = 0) -> nn.Module:
    """Create the network with random weights. Raise UserError if timm does not know the name or rejects the size."""
    name = model.partition(".")[0]
    if not timm.is_model(name):
        near = did_you_mean(name, timm.list_models())
        raise UserError(f"option 'model' of encoder 'checkpoint': timm {timm.__version__} has no {name!r}: {near}")
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    fixed = {"img_size": size} if config is not None and config.fixed_input_size else {}
    try:
        net: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes, **fixed)
    except (AssertionError, ValueError, RuntimeError, TypeError) as error:
        raise UserError(f"encoder 'checkpoint': timm's {name} cannot be built for size {size}: {error}") from error
    return net
