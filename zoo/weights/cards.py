"""Find the verified file of a model card: in an installed package or a wheel, locally, or by download. No torch."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import urllib.parse
from pathlib import Path
from typing import NotRequired, TypedDict

import zoo.weights.wheels as wheels
from zoo.api import ModelCard, Wheel
from zoo.errors import UserError
from zoo.files import file_sha256, replace
from zoo.weights.download import download as fetch

_INSTEAD = "give a file with --set encoder.SLOT.weights=FILE, or train without: --set encoder.SLOT.pretrained=false"


def find(card: ModelCard, *, cache: Path | None = None, download: bool = True) -> Path:
    """Return the verified file of a model card, after a download if necessary.

    The file is in an installed package, at a local path, or in ``cache``, into which a URL or the file of a wheel is
    downloaded once (default ``$ABAW_ZOO_CACHE/weights``, else ``~/.cache/abaw-zoo/weights``). Its sha256 is always
    compared: with the card's (a whole digest, or its first 8 or more hex digits), else with the one recorded in
    ``<file>.sha256`` when the file was first used.

    Raises:
        UserError: There is no such file, or its digest differs; the message says what to do.
    """
    if [card.package, card.path, card.url, card.wheel].count(None) != 3:
        raise UserError("card-place", name=card.name)
    cache = cache or cache_folder()
    if card.package is not None:
        path = _in_package(card.name, *card.package)
    elif card.wheel is not None:
        path = _in_wheel(card, card.wheel, cache, download)
    elif card.path is not None:
        path = Path(card.path).expanduser()
        if not path.is_file():
            raise UserError("weights-file-missing", name=card.name, file=path, instead=_INSTEAD)
    else:
        path = _cached(card, cache, download)
    if card.sha256 is None:
        _trust(card, path, cache)
    else:
        _verify(card, path, str(path))
    return path


class WeightsFacts(TypedDict):
    """A verified file and its model card, as in a run's record."""

    name: str
    file: str
    sha256: str
    trusted_on_first_use: bool
    license: str | None
    source: str | None
    url: str | None
    saw: list[str]
    seen_affwild2: bool | None
    size: int
    classes: list[str]
    input: str | None
    citation: str | None
    rights_known: NotRequired[bool]


class LoadedFacts(WeightsFacts):
    """A verified file and its model card, and the changes made to the names in the file."""

    notes: list[str]


def describe(card: ModelCard, path: Path) -> WeightsFacts:
    """Describe a verified file and its model card for a run's record: plain values, no path of this machine.

    ``rights_known`` is a key only if it is False, so that records of other weights stay as they were.
    """
    facts: WeightsFacts = {
        "name": card.name,
        "file": path.name,
        "sha256": file_sha256(path),
        "trusted_on_first_use": card.sha256 is None,
        "license": card.license,
        "source": card.source,
        "url": card.url,
        "saw": list(card.saw),
        "seen_affwild2": seen_affwild2(card),
        "size": path.stat().st_size,
        "classes": list(card.classes),
        "input": card.input,
        "citation": card.citation,
    }
    if not card.rights_known:
        facts["rights_known"] = False
    return facts


def seen_affwild2(card: ModelCard) -> bool | None:
    """Return True if the weights were trained on Aff-Wild2 or its first half Aff-Wild, in any spelling.

    The uni-task tracks of editions 6, 8 and 10 and MTL of 7 and 11 forbid this. The result is None if the card does not
    state the training data.
    """
    if not card.saw:
        return None
    return any(re.sub("[^a-z0-9]", "", data.lower()).startswith("affwild") for data in card.saw)


def place(card: ModelCard, cache: Path | None = None) -> Path | None:
    """Return the path of the card's file, even if not yet fetched; None if it has none or its package is missing."""
    try:
        if card.package is not None:
            return _in_package(card.name, *card.package)
    except UserError:
        return None
    if card.path is not None:
        return Path(card.path).expanduser()
    if card.wheel is not None:
        here = installed(card, card.wheel)
        return here if here is not None else wheels.kept_at(card.wheel, cache or cache_folder())
    return _url_place(card.url, cache or cache_folder()) if card.url else None


def cache_dir() -> Path:
    """Return the folder for everything that can be made again: $ABAW_ZOO_CACHE or ~/.cache/abaw-zoo."""
    if root := os.environ.get("ABAW_ZOO_CACHE"):
        return Path(root).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "abaw-zoo"


def cache_folder() -> Path:
    """Return the folder for downloaded weights."""
    return cache_dir() / "weights"


def _in_package(name: str, module: str, inside: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # the module's parent is missing
        spec = None
    if spec is None:
        raise UserError("weights-package-missing", name=name, module=module, instead=_INSTEAD)
    for folder in spec.submodule_search_locations or ():
        if (path := Path(folder, inside)).is_file():
            return path
    raise UserError("weights-package-file-missing", name=name, module=module, inside=inside, instead=_INSTEAD)


def installed(card: ModelCard, wheel: Wheel) -> Path | None:
    """Return the file in the wheel's installed distribution; of another version only if it has the card's digest."""
    found = wheels.installed(wheel)
    if found is None or found.version == wheel.version:
        return found.path if found else None
    wanted = (card.sha256 or "").lower()
    return found.path if wanted and file_sha256(found.path).startswith(wanted) else None


def _in_wheel(card: ModelCard, wheel: Wheel, cache: Path, download: bool) -> Path:
    if (here := installed(card, wheel)) is not None:
        return here

    def check(part: Path) -> None:
        if card.sha256 is not None:
            _verify(card, part, f"{wheel.file} of {wheel.distribution} {wheel.version}")

    return wheels.keep(card.name, wheel, cache, check, download=download, instead=_INSTEAD)


def _cached(card: ModelCard, cache: Path, download: bool) -> Path:
    assert card.url is not None
    path = _url_place(card.url, cache)
    if path.is_file():
        return path
    by_hand = f"put the file at {path}, {_INSTEAD}"
    if not download:
        raise UserError("weights-not-here", name=card.name, url=card.url, by_hand=by_hand)

    def check(part: Path) -> None:
        if card.sha256 is not None:
            _verify(card, part, f"what {card.url} sent")

    try:
        fetch(card.url, path, check)
    except OSError as error:
        raise UserError("weights-not-downloaded", name=card.name, url=card.url, error=error, by_hand=by_hand) from error
    return path


def _url_place(url: str, cache: Path) -> Path:
    parts = urllib.parse.urlsplit(url)
    query = hashlib.sha256(parts.query.encode()).hexdigest()[:8] if parts.query else ""
    names = [parts.netloc.replace(":", "_"), query, *parts.path.split("/")]
    return cache.joinpath(*(name for name in names if name not in ("", ".", "..")))


def _verify(card: ModelCard, path: Path, what: str) -> None:
    expected = (card.sha256 or "").lower()
    if not re.fullmatch("[0-9a-f]{8,64}", expected):
        raise UserError("weights-digest-invalid", name=card.name, expected=expected)
    found = file_sha256(path)
    if not found.startswith(expected):
        raise UserError("weights-digest-wrong", name=card.name, what=what, wanted=expected, got=found, instead=_INSTEAD)


def _trust(card: ModelCard, path: Path, cache: Path) -> None:
    """Compare a file with the digest recorded on first use, or record it.

    The digest is written next to the file, or into the cache if the file's folder is not writable (a shared one).
    """
    beside = path.with_name(path.name + ".sha256")
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    found = file_sha256(path)
    ledgers = (beside, cache / "trusted" / f"{place}.{path.name}.sha256")
    for ledger in ledgers:
        if ledger.is_file():
            # A damaged ledger must give a short text that differs from the digest, not an exception.
            expected = ledger.read_text(encoding="utf-8", errors="replace").split(" ")[0].strip()[:64]
            if expected != found:
                raise UserError(
                    "weights-changed",
                    name=card.name,
                    file=path,
                    wanted=expected,
                    got=found,
                    ledger=ledger,
                    instead=_INSTEAD,
                )
            return
    try:
        _write(ledgers[0], f"{found}  {path.name}\n")
    except OSError:
        _write(ledgers[1], f"{found}  {path.name}\n")


def _write(path: Path, text: str) -> None:
    replace(path, lambda part: part.write_text(text, encoding="utf-8"))
