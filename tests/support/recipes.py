"""What recipes need to be tested without a network."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from harness.config.recipe import find_recipe, read_toml
from harness.config.schema import load_config

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TINY = {"MIT/ast-finetuned-audioset-10-10-0.4593": "ast"}
"""Models of the hub that recipes name -> the tiny model with random weights that stands in for them."""


def recipe_tracks(name: str) -> list[str]:
    """The tracks that a recipe has settings for: its own, then those with a section."""
    return list(dict.fromkeys([load_config(name, {}, []).track, *read_toml(find_recipe(name)).get("tracks", {})]))


def stand_in_hub(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put tiny models into an empty cache of the hub, for a recipe that names models of the hub."""
    if "=hf:" not in find_recipe(name).read_text(encoding="utf-8"):
        return
    pytest.importorskip("transformers", reason="transformers is an extra (hf)")
    import huggingface_hub

    from plugins.encoders._hf_files import model_folder
    from tests.support import tiny_hf

    for model, tiny in TINY.items():
        entry = root / f"models--{model.replace('/', '--')}"
        (entry / "refs").mkdir(parents=True)
        (entry / "refs" / "main").write_text(COMMIT)
        tiny_hf.save(tiny, root / tiny)
        snapshot, blobs = entry / "snapshots" / COMMIT, entry / "blobs"
        snapshot.mkdir(parents=True)
        blobs.mkdir()
        for file in (root / tiny).iterdir():  # laid out as huggingface_hub does: a link whose target is named by digest
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            shutil.copy(file, blobs / digest)
            (snapshot / file.name).symlink_to(Path("../../blobs") / digest)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(root))
    model_folder.cache_clear()
