"""Files of a model of transformers: a local folder, or a snapshot of the model hub that is pinned to a commit.

A branch of the hub is resolved once, when its files are first fetched; from then on the copy on this machine is used,
until ``revision`` names another commit. Only configurations, tokenizers and safetensors are fetched, never code or
pickled weights.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from plugins.encoders._hf_cards import KNOWN
from zoo.errors import UserError, first_line
from zoo.files import SETTINGS, file_sha256, read_bytes
from zoo.registry.suggestions import did_you_mean

CONFIG, WEIGHTS, SHARDS = "config.json", "model.safetensors", "model.safetensors.index.json"
PREPROCESSORS = ("preprocessor_config.json", "video_preprocessor_config.json")
PROCESSOR = "processor_config.json"
PARTS = ("image_processor", "video_processor", "feature_extractor")
"""Names in PROCESSOR under which transformers 5 writes what was a file of its own before."""
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "sentencepiece.bpe.model", "spm.model", "tokenizer.model")
EXAMPLES = {"audio": "facebook/wav2vec2-base-960h", "text": "FacebookAI/roberta-base"}
FETCHED = ("*.json", "*.txt", "*.model", "*.safetensors")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@functools.cache
def model_folder(argument: str | None, revision: str | None = None, stream: str = "face") -> Path:
    """Return the folder with a model's files; models of the hub are fetched if they are not here yet.

    Args:
        argument: A folder, or OWNER/NAME on the hub.
        revision: A commit, tag or branch of the hub.
        stream: The stream, for an example in the message.

    Raises:
        UserError: There is no such folder or model, or it cannot be fetched.
    """
    if not argument:
        example = EXAMPLES.get(stream, "facebook/dinov2-small")
        raise UserError(f"encoder 'hf' needs a model: write {stream}=hf:{example}, or {stream}=hf:FOLDER")
    folder = Path(argument).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise UserError(f"hf:{argument} is a folder, which has no revisions: leave out --set encoder.SLOT.revision")
        return folder
    if argument.startswith((".", "/", "~")):
        raise UserError(f"hf:{argument}: there is no such folder; name one with a {CONFIG}, or OWNER/NAME on the hub")
    if not _HUB_NAME.fullmatch(argument):
        near = did_you_mean(argument, [*KNOWN, *(name.rpartition("/")[2] for name in KNOWN)])
        raise UserError(f"hf:{argument} is neither a folder nor OWNER/NAME on the hub: {near}write hf:OWNER/NAME")
    return _snapshot(argument, revision, VOCABULARIES if stream == "text" else (*PREPROCESSORS, PROCESSOR))


def _snapshot(name: str, revision: str | None, inputs: tuple[str, ...]) -> Path:
    """Return the local copy of a hub's model, and fetch it if it lacks weights, or all files of ``inputs``.

    Other programs fetch single files into the same place. If the hub cannot be asked, a copy with weights is returned.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    fetch: Callable[..., Any] = functools.partial(
        snapshot_download, name, revision=revision, allow_patterns=list(FETCHED), ignore_patterns=["*/*"]
    )
    here: Path | None = None
    try:
        here = Path(fetch(local_files_only=True))
    except HFValidationError as error:
        raise UserError(f"hf:{name} is not a valid name on the hub ({first_line(error)})") from None
    except Exception:  # incomplete, or not here: the hub has changed the type of this error several times
        here = None
    weighty = here is not None and _has_weights(here)
    if here is not None and weighty and any((here / file).is_file() for file in inputs):
        return here
    check_installed()  # before gigabytes are fetched that could not be used
    try:
        return Path(fetch())
    except Exception as error:
        if here is not None and weighty:
            return here
        raise UserError(_not_fetched(name, revision, error)) from error


def check_installed() -> None:
    """Raise UserError if transformers is not installed or cannot be loaded."""
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        why = "" if isinstance(error, ModuleNotFoundError) else f" ({first_line(error)})"
        raise UserError(
            f"encoder 'hf' needs transformers, which is not installed{why}: install the extra "
            "(`uv sync --extra hf`, or pip install 'abaw-zoo[hf]')"
        ) from error


def _has_weights(folder: Path) -> bool:
    """Return True if a folder has the file of the weights, or all files of their index."""
    if (folder / WEIGHTS).is_file():
        return True
    parts = read_json(folder, SHARDS).get("weight_map")
    return isinstance(parts, dict) and all((folder / str(file)).is_file() for file in parts.values())


def _not_fetched(name: str, revision: str | None, error: Exception) -> str:
    """Return one line on a model that cannot be fetched: the reason, and the remedy."""
    from huggingface_hub import errors

    which = f"hf:{name}" + (f" at {revision}" if revision else "")
    convert = ", convert the pickle, which is all that it likely has, with `harness weights convert`"
    pickled = name in KNOWN and KNOWN[name].pickled
    by_hand = f"put its files into a folder{convert if pickled else ''} and write hf:FOLDER"
    if isinstance(error, errors.GatedRepoError):
        return f"{which} is gated: accept its licence on its page and log in with `hf auth login`, or {by_hand}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{which}: the hub has no such revision; correct --set encoder.SLOT.revision"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{which}: the hub has no such public model: {did_you_mean(name, KNOWN)}correct the name"
    near = "" if name in KNOWN else did_you_mean(name, KNOWN)
    return f"{which} is not on this machine and cannot be fetched ({first_line(error)}): {near}{by_hand}"


def weights_file(folder: Path) -> Path:
    """Return the file of a folder's weights, or the index of several. Raise UserError if there is none."""
    for name in (WEIGHTS, SHARDS):
        if (folder / name).is_file():
            return folder / name
    pickled = sorted(file for file in folder.glob("*.bin"))
    if pickled:
        raise UserError(
            f"{folder} has only pickled weights, which may run code: convert them without running it, "
            f"`harness weights convert {pickled[0]} {folder / WEIGHTS}`"
        )
    if commit_of(folder):
        raise UserError(
            f"{folder} has no {WEIGHTS}, and the hub has none at this revision: put the model's files into a folder of "
            "your own, convert pytorch_model.bin with `harness weights convert`, and write hf:FOLDER"
        )
    raise UserError(f"{folder} has no {WEIGHTS}: name a folder that `save_pretrained` wrote")


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Return the content of a settings file; {} if there is none. Raise UserError if it is not a JSON object."""
    path = folder / name
    if not path.is_file():
        return {}
    try:
        found = json.loads(read_bytes(path, 16 * SETTINGS))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON file ({first_line(error)}); get it again") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: must hold an object, got a {type(found).__name__}; get it again")
    return found


def preprocessor(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the file and the settings of a model's preprocessor; {} if there are none.

    They are a file of their own, or a part of PROCESSOR, which is all that transformers 5 writes for a processor.
    """
    for name in PREPROCESSORS:
        if found := read_json(folder, name):
            return folder / name, found
    whole = read_json(folder, PROCESSOR)
    nested: dict[str, Any] = next((whole[part] for part in PARTS if isinstance(whole.get(part), dict)), {})
    return folder / (PROCESSOR if nested else PREPROCESSORS[0]), nested


def known_sha256(path: Path) -> str | None:
    """Return the digest under which the hub's cache keeps a file, None for any other file."""
    kept = path.resolve().name
    return kept if path.is_symlink() and _DIGEST.fullmatch(kept) else None


def built_from(folder: Path) -> str:
    """Return a digest of all files but the weights, and of the version of transformers, whose code computes.

    The files are configuration, preprocessing, tokenizer, and the parts of weights. Everything that the features depend
    on is in it or in the weights' own digest.
    """
    files = sorted({file for pattern in FETCHED for file in folder.glob(pattern)} - {folder / WEIGHTS})
    content = [f"{file.name} {file_sha256(file)}" for file in files]
    content.append(f"transformers {_version('transformers')}")
    if read_json(folder, CONFIG).get("model_type") == "audio-spectrogram-transformer":  # NumPy computes without it
        content.append(f"torchaudio {_version('torchaudio')}")
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def commit_of(folder: Path) -> str | None:
    """Return the commit of a snapshot, None for any other folder."""
    return folder.name if folder.parent.name == "snapshots" else None
