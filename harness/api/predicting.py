"""Prediction of files from Python, and a list of the encoders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.api.finished import PathLike

if TYPE_CHECKING:
    import pandas as pd


def predict(
    video: PathLike,
    *,
    model: PathLike | None = None,
    people: Literal["main", "all"] = "main",
    plugins: Sequence[PathLike] = (),
) -> pd.DataFrame:
    """Predict one video, image or sound file.

    Args:
        video: The file.
        model: The folder of a finished run, or a ready model (``fer``, ``hsemotion:NAME``); None: the ready model of
            the default recipe.
        people: ``main`` for the main person, ``all`` for everybody.
        plugins: The plugin files that the run was made with.

    Returns:
        One row for each frame and person, with the columns of ``Run.predict``.

    Raises:
        UserError: The model does not exist, or the file cannot be predicted.

    Examples:
        >>> import harness
        >>> table = harness.predict("video.mp4", model="runs/mine")
        >>> len(table)
        20
    """
    from harness.predicting.command import load_model, one_file, predict_file

    file = one_file(Path(video).expanduser())
    return predict_file(
        file, load_model(None if model is None else str(model), plugins=[Path(path) for path in plugins]), people
    )


def encoders(stream: str | None = None) -> pd.DataFrame:
    """List the encoders.

    Args:
        stream: Only encoders of this stream, such as ``face``; None: all encoders.

    Returns:
        One row for each encoder: ``name``, ``streams`` (separated by commas; empty: any), ``summary``, ``package``.

    Raises:
        UserError: The stream does not exist.

    Examples:
        >>> import harness
        >>> "melcnn" in set(harness.encoders("audio")["name"])
        True
    """
    import pandas as pd

    from zoo.registry.registry import load as load_registry

    registry = load_registry([])
    if stream is not None:
        registry.get("streams", stream)
    entries: list[Any] = list(registry.entries("encoders"))
    rows = [
        {"name": e.spec.name, "streams": ", ".join(e.spec.streams), "summary": e.spec.summary, "package": e.package}
        for e in entries
        if stream is None or stream in e.spec.streams
    ]
    return pd.DataFrame(rows, columns=["name", "streams", "summary", "package"])
