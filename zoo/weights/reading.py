"""Read weight files of any format as names and tensors, without running any code in them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

from zoo.errors import UserError
from zoo.files import file_sha256, read_bytes, replace
from zoo.weights import averaged, keras_files, nested, sealed, torch_files
from zoo.weights.metadata import read_metadata

KERAS = (".h5", ".hdf5")
PICKLED = (".pt", ".pth", ".tar", ".bin", ".ckpt")
INDEX = ".safetensors.index.json"
PREFIXES = ("module.", "model.", "_orig_mod.")
WHOLE = "a whole pickled "


def read(path: Path, *, ema: bool = False) -> dict[str, Tensor]:
    """Read a weight file as names and tensors.

    Formats: .safetensors or the index of several, a pickled .pt, .pth, .pth.tar, .bin or .ckpt, Keras's .h5. No
    code in a file runs (torch_files); a whole pickled network of timm or torch gives its tensors too. The table may
    be nested (`nested`). The prefixes ``module.``, ``model.`` and ``_orig_mod.`` (of torch.compile) are removed as long
    as all names have them.

    Args:
        path: The file.
        ema: Return the averaged weights if the file has both these and the last step's. Without ``ema`` they are
            returned only if there are no others.

    Raises:
        UserError: The file is damaged, holds other objects (the message names them), or has no averaged weights.
    """
    return _read(path, ema)[0]


def convert(source: Path, target: Path, *, ema: bool = False, key: str | None = None) -> tuple[str, ...]:
    """Write the weights of a file as safetensors, with the source's name and digest; return the changes made.

    ``key``: the place of the table in a file that has several, ``teacher`` or ``checkpoint/model``.
    """
    if target.suffix != ".safetensors":
        raise UserError("convert-target", target=target)
    state, notes = _read(source, ema, key)
    try:
        kept = {"source": source.name, "sha256": file_sha256(source), "notes": json.dumps(notes)}
        _keep(state, target, {**read_metadata(source), **kept})
    except OSError as error:
        raise UserError("convert-not-writable", target=target, value=error.strerror or error) from error
    return (f"{len(state)} tensors", *notes)


def read_kept(path: Path, cache: Path, ema: bool) -> tuple[dict[str, Tensor], list[str]]:
    """Read a weight file as ``_read`` does, with a cache for whole pickled networks.

    The tensors of such a network are kept as safetensors under the file's digest, and read from there the next time.
    """
    which = "ema." if ema else ""
    kept = cache / "converted" / f"{file_sha256(path)}.{which}{torch_files.VERSION}.safetensors"
    if kept.is_file():
        # A damaged cache file is written again.
        with contextlib.suppress(safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError):
            state, said = sealed.load(kept, strict=True)
            return state, list(json.loads(said["notes"]))
    state, notes = _read(path, ema)
    if any(note.startswith(WHOLE) for note in notes):
        with contextlib.suppress(OSError):  # a read-only cache only costs time
            _keep(state, kept, {"notes": json.dumps(notes)})
    return state, notes


def _keep(state: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically."""
    replace(path, lambda part: sealed.save(state, part, {"format": "pt", **metadata}))


def _read(path: Path, ema: bool, key: str | None = None) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors, and the steps that were needed to find them."""
    if not path.is_file():
        raise UserError("weights-no-file", file=path)
    try:
        state, notes = _content(path, ema, key)
    except UserError:
        raise
    except torch_files.RefusedError as error:
        raise UserError("weights-hold-objects", file=path, error=error) from error
    except Exception as error:  # a damaged file raises one of some ten types
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise UserError("weights-damaged", file=path, reason=reason) from error
    if not state:
        raise UserError("weights-no-table", file=path)
    if prefix := common_prefix(state):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        notes.append(f"{prefix!r} taken off all names")
    return state, notes


def _content(path: Path, ema: bool, key: str | None) -> tuple[dict[str, Tensor] | None, list[str]]:
    if path.suffix == ".safetensors":
        return _of_one_table(path, sealed.load(path)[0] or None, [], ema, [])
    if path.name.endswith(INDEX):
        return _of_one_table(path, _of_index(path) or None, [], ema, [])
    if path.suffix in KERAS:
        return _of_one_table(path, keras_files.load(path) or None, [], ema, [])
    if path.suffix not in PICKLED:
        raise UserError("weights-format", file=path, names=", ".join((*PICKLED, *KERAS)))
    content = torch_files.load(path)
    if key is not None:
        return _opened(content, nested.at(path, content, key))
    other = _averaged(content)
    usual = nested.usual(content)
    if usual is None and other is None:
        if rest := nested.partial(content.root):
            return content.table(rest[0]), [f"left out, no tensors: {_listed(rest[1])}"]
        usual = nested.search(path, content)
    if other is None:
        return _of_one_table(path, *_opened(content, usual), ema, _keys(content.root))
    if usual is None or usual[0] == other[0]:  # there are no others
        state, notes = _opened(content, other)
        if last := averaged.last_step(content.root):
            notes.append(f"they are averaged ones; those of the last step, in {last!r}, were not taken")
    elif ema:
        state, notes = _opened(content, other)
        notes.append(f"averaged weights, as ema=true asks; those of the last step, in {_place(usual)}, were not taken")
    else:
        state, notes = _opened(content, usual)
        notes.append(f"averaged weights that it has too, in {_place(other)}, were not taken: ema=true takes them")
    return state, notes


def _of_index(path: Path) -> dict[str, Tensor]:
    """Return the tensors of all files that the index of a divided safetensors file names; they lie next to it."""
    files = sorted(set(json.loads(read_bytes(path))["weight_map"].values()))
    if wrong := [name for name in files if Path(name).name != name or not name.endswith(".safetensors")]:
        raise ValueError(f"{wrong[0]!r} is no safetensors file next to it")
    return {name: tensor for file in files for name, tensor in sealed.load(path.with_name(file))[0].items()}


def _averaged(content: torch_files.Content) -> nested.Found | None:
    return next((found for found in averaged.places(content.root) if content.table(found[1]) is not None), None)


def _place(found: nested.Found) -> str:
    return "the file itself" if found[0] is None else repr(found[0])


def _opened(content: torch_files.Content, found: nested.Found | None) -> tuple[dict[str, Tensor] | None, list[str]]:
    """Return the tensors at a place, and the steps that were needed."""
    if found is None:
        return None, []
    key, value = found
    state = content.table(value)
    assert state is not None
    notes = [] if key is None else [f"taken from {key!r}"]
    if isinstance(value, torch_files.Record):
        notes.append(f"{WHOLE}{value.what}, read without its code")
    return averaged.without_counter(state), notes


def _of_one_table(
    path: Path, state: dict[str, Tensor] | None, notes: list[str], ema: bool, keys: list[str]
) -> tuple[dict[str, Tensor] | None, list[str]]:
    """Return the weights of a table that is the only one in its file: it may hold both kinds of weights itself."""
    if state is None:
        return None, notes
    if (both := averaged.parted(state)) is None:
        if ema:
            raise UserError("weights-no-averages", file=path, names=_listed(keys or list(state)))
        return state, notes
    last, mean, begin = both
    if ema:
        return mean, [*notes, f"averaged weights, as ema=true asks: those that begin with {begin!r}"]
    return last, [*notes, f"averaged weights that it has too, as {begin!r}, were not taken: ema=true takes them"]


def _listed(names: list[str]) -> str:
    shown = [name if len(name) <= 40 else f"{name[:40]}..." for name in names[:12]]
    return ", ".join(shown) + (", ..." if len(names) > 12 else "")


def _keys(root: Any) -> list[str]:
    return [str(key) for key in root] if isinstance(root, Mapping) else []


def common_prefix(state: Mapping[str, Tensor]) -> str:
    """Return the prefix of all names, as far as it consists of PREFIXES."""
    prefix = ""
    while more := [p for p in PREFIXES if state and all(name.startswith(prefix + p) for name in state)]:
        prefix += more[0]
    return prefix
