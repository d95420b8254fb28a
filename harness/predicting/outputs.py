"""Output files of `harness predict`, checked before a model is loaded: none of them replaces a file of the user.

Overlays and pages carry a mark by which they are recognised later. Tables are listed in about.json next to them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from harness.predicting.inputs import Input, Inputs
from harness.predicting.marks import is_overlay, is_page
from harness.predicting.request import Request
from harness.predicting.tables import ABOUT, read_about
from harness.predicting.targets import check_folder
from zoo.errors import UserError
from zoo.files import name_key
from zoo.limits import check_name


def check_outputs(request: Request, found: Inputs) -> None:
    """Raise UserError if an output of a request cannot be written, or would replace a file that is not an output.

    Raises:
        UserError: A folder cannot be written, an output is one of the inputs, or its place is taken by a file that this
            program did not write.
    """
    videos = [file for file in found.files if file.kind == "video"]
    for target in (request.overlay_target(), request.page_target()):
        if target is not None:
            target.check(videos)
    if request.overlay is not None and not videos:
        raise UserError("predict-overlay-no-video", path=request.overlay)
    if request.page is not None and not videos:
        raise UserError("predict-report-no-video", path=request.page)
    if not request.streams:
        check_folder("--out", request.out)
    inputs = {_identity(path) for path in found.seen if path.exists()}
    for option, path in _outputs(request, found, videos):
        if not path.exists():
            continue
        if _identity(path) in inputs:
            raise UserError("predict-target-kind", option=option, path=path, wanted="another file than the inputs")
        if not _is_ours(path):
            raise UserError("predict-output-taken", option=option, path=path)


def set_aside_long_names(request: Request, found: Inputs) -> None:
    """Make a problem of each input whose outputs would have too long a name."""
    targets = [target for target in (request.overlay_target(), request.page_target()) if target is not None]
    endings = [target.suffixes[0] for target in targets if not target.is_file]
    endings += [] if request.streams else [f".{request.form}"]
    for file in list(found.files):
        try:
            for ending in endings:
                check_name(file.path, f"{name_key(file.path.stem)}{ending}")
        except UserError as error:
            found.files.remove(file)
            found.problems.append(error)


def _outputs(request: Request, found: Inputs, videos: list[Input]) -> Iterator[tuple[str, Path]]:
    """Yield the option and path of every file that a request writes."""
    if not request.streams:
        names = [name_key(file.path.stem) for file in found.files] + [f"camera-{number}" for number in found.cameras]
        for name in (*(f"{name}.{request.form}" for name in names), ABOUT):
            yield "--out", request.out / name
    for target in (request.overlay_target(), request.page_target()):
        if target is not None:
            yield from ((target.option, target.of(video.path)) for video in videos)


def _identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from all others, whatever links lead to it."""
    state = os.stat(path)
    return state.st_dev, state.st_ino


def _is_ours(path: Path) -> bool:
    """Return True if a file was written by `harness predict`."""
    if not path.is_file():
        return False
    about = read_about(path.parent)
    if path.name == ABOUT:
        return bool(about)
    listed = {one.get("table") for one in about.get("inputs", ())}
    return path.name in listed or is_page(path) or is_overlay(path)
