"""Weights of a model of transformers: the file's names are converted by transformers itself, and none may be missing.

transformers leaves a tensor random if the file lacks its name, and a wrong prefix makes it lack all of them. Nothing is
raised then. Here every tensor of the network must come from the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plugins.encoders._hf_cards import KNOWN, UNKNOWN, Card
from plugins.encoders._hf_families import Family, configuration, family_of, layers_of, network_class, own_classes
from plugins.encoders._hf_files import CONFIG, built_from, commit_of, known_sha256, model_folder, weights_file
from zoo.api import ModelCard
from zoo.errors import UserError, first_line
from zoo.weights.loading import Adapted, is_coded

TRIED = 8  # prefixes


def card(stream: str, argument: str | None, layer: str, pool: str, revision: str | None) -> ModelCard:
    """Return the model card of a model's weights. Raise UserError if its files are missing or for another stream."""
    folder = model_folder(argument, revision, stream)
    _, family = family_of(folder, stream)
    classes = own_classes(folder, family, layer, pool)
    file, commit = weights_file(folder), commit_of(folder)
    known = KNOWN.get(argument or "", Card(UNKNOWN))
    return ModelCard(
        name=str(argument) if commit else folder.resolve().name,
        sha256=known_sha256(file),
        license=known.license if commit else "as the folder's owner says",
        source=f"huggingface.co/{argument} at {commit}" if commit else "a local folder",
        path=str(file),
        saw=known.trained_on if commit else (),
        adapt=partial(adapt, folder, stream, layer == "learned", bool(classes)),
        classes=classes,
        citation=known.citation if commit else "",
        built_from=built_from(folder),
    )


def adapt(folder: Path, stream: str, learned: bool, scores: bool, state: Mapping[str, Tensor]) -> Adapted:
    """Rename a file's tensors to the encoder's names; the names' form, old or new, is transformers' own matter.

    Raises:
        UserError: Tensors of the network are missing, are codes of a quantised network, or have other shapes, whatever
            prefix is taken off; or several prefixes give a whole network each, of different weights.
    """
    kind, family = family_of(folder, stream)
    config = configuration(folder, kind, family)
    plain = {name: tensor for name, tensor in state.items() if not _is_coded(name, tensor)}
    best: tuple[int, str, Any] | None = None
    for prefix in _prefixes(plain, family.prefixes):
        part = _without(prefix, plain)
        net, lacking = _loaded(family, config, part)
        if not lacking:
            _check_rivals(folder, family, config, plain, prefix, net)
            tensors = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
            if scores:
                tensors |= {name: state[name] for name in ("classifier.weight", "classifier.bias") if name in state}
            if learned:
                tensors["mix"] = next(iter(tensors.values())).new_zeros(layers_of(config))
            notes = [f"{prefix!r} taken off {len(part)} names"] if prefix else []
            notes.append(f"{len(tensors)} tensors for {family.network} out of {len(state)}")
            return Adapted(tensors, tuple(notes))
        if best is None or len(lacking) < best[0]:
            best = len(lacking), prefix, lacking
    assert best is not None
    if coded := sorted(state.keys() - plain.keys()):
        raise UserError("weights-quantised", file=weights_file(folder), count=len(coded), first=coded[0])
    count, prefix, lacking = best
    some = ", ".join(lacking[:3]) + (", ..." if count > 3 else "")
    raise UserError(
        f"the weights do not fit {folder / CONFIG}: {count} tensors of {family.network} are not in the file"
        f"{f' without {prefix!r}' if prefix else ''}, or have another shape ({some}); the file has "
        f"{', '.join(sorted(state)[:2])}, ...: get config.json and weights of one model"
    )


def _without(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that have a prefix, named without it."""
    return {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}


def _is_coded(name: str, tensor: Tensor) -> bool:
    """Return True if a tensor of a file holds codes of weights; transformers would read them as the weights."""
    small = tensor.element_size() == 1 and tensor.dtype != torch.bool
    return is_coded(tensor) and (small or name.endswith(("weight", "bias")))


def _check_rivals(
    folder: Path, family: Family, config: Any, state: Mapping[str, Tensor], prefix: str, net: Any
) -> None:
    """Raise UserError if another prefix gives a whole network with other weights, such as a teacher beside a student.

    Names in the form of the family itself are the network: whatever else is in the file belongs to another one.
    """
    if prefix in ("", *family.prefixes):
        return
    own = net.state_dict()
    for rival in _prefixes(state, ()):
        part = _without(rival, state)
        if rival in ("", prefix) or len(part) < len(own):
            continue
        other, lacking = _loaded(family, config, part)
        if not lacking and any(not torch.equal(own[name], tensor) for name, tensor in other.state_dict().items()):
            raise UserError(
                f"{weights_file(folder)} holds the whole network as {prefix}* and, with other weights, as {rival}*: "
                "give a file with one of them"
            )


def _loaded(family: Family, config: Any, state: dict[str, Tensor]) -> tuple[Any, list[str]]:
    """Return the network with the tensors of ``state``, and the names of those that it lacks."""
    cls, given = network_class(family)
    try:
        net, info = cls.from_pretrained(
            None,
            config=config,
            state_dict=state,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported then
            **given,
        )
    except Exception as error:  # a file may hold anything
        return None, [first_line(error)]
    wrong = [str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"]]
    return net, sorted({*info["missing_keys"], *wrong, *map(str, info.get("error_msgs", ()))})


def _prefixes(state: Mapping[str, Tensor], usual: tuple[str, ...]) -> Iterator[str]:
    """Yield the family's prefixes that the file has, none at all, and the other first words of the names."""
    words = Counter(name.partition(".")[0] + "." for name in state if "." in name)
    found = [prefix for prefix in usual if any(name.startswith(prefix) for name in state)]
    yield from dict.fromkeys([*found, "", *(word for word, _ in words.most_common(TRIED))])
