"""Helpers for the tests of plugins: an installed package, and the flags to train a template's block."""

from __future__ import annotations

import tomllib
from pathlib import Path

USES = {
    "encoder": ("--encoders", "face={}"),
    "augmentation": (
        "--encoders",
        "face=timm:test_resnet",
        "--set",
        "encoder.face.pretrained=false",
        "--augment",
        "{}",
    ),
    "fusion": ("--encoders", "face,context", "--fusion", "{}"),
    "head": ("--encoders", "face", "--head", "{}"),
    "loss": ("--encoders", "face", "--loss", "{}"),
    "postprocess": ("--encoders", "face", "--post", "interpolate,{}"),
    "logger": ("--encoders", "face", "--logger", "{}"),
}
HOOKS = {
    "encoder": "encoders",
    "augmentation": "augmentations",
    "fusion": "fusions",
    "head": "heads",
    "loss": "losses",
    "postprocess": "postprocessors",
    "detector": "detectors",
    "logger": "loggers",
    "corpus": "corpora",
}


def install(folder: Path) -> None:
    """Write the .dist-info of a package next to its module, from its pyproject.toml.

    With the folder on the path the package is installed, without network or a build tool.
    """
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["abaw_zoo"]
    (about / "entry_points.txt").write_text("[abaw_zoo]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
    (about / "RECORD").write_text("")
