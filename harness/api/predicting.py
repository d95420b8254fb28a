"""Prediction of files from Python, and a list of the encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from harness.api.arguments import Names, PathLike, joined, paths, settings_of
from harness.api.finished import Run
from zoo.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def predict(
    video: PathLike,
    *,
    model: PathLike | Run | None = None,
    people: Literal["main", "all"] = "main",
    plugins: PathLike | Sequence[PathLike] = (),
    settings: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Predict one video, image or sound file.

    Args:
        video: The file.
        model: A finished run or its folder, or a ready model (``fer``, ``hsemotion:NAME``, ``checkpoint:FILE``); None:
            the ready model of the default recipe.
        people: ``main`` for the main person, ``all`` for everybody.
        plugins: The plugin files that the run was made with.
        settings: Options of a ready model's encoder and of the detector by key, such as
            ``{"encoder.face.classes": ["Neutral", "Happiness"], "detector.mode": "track"}``.

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
    from harness.predicting.command import load_model, one_file, predict_file, split_settings

    file = one_file(video)
    detector, options = split_settings([f"{key}={_text(value)}" for key, value in settings_of(settings).items()])
    if isinstance(model, Run):
        if options:
            raise UserError("predict-run-settings", model=model.folder, got=options[0])
        if plugins:
            raise UserError("predict-run-plugins", model=model.folder)
        loaded = model._loaded()
    else:
        name = None if model is None else str(model)
        loaded = load_model(name, plugins=paths(plugins), settings=options)
    return predict_file(file, loaded, people, detector)


def _text(value: Any) -> str:
    """Return a setting as ``--set`` takes it."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def encoders(stream: Names | None = None) -> pd.DataFrame:
    """List the encoders.

    Args:
        stream: Only encoders that can read this stream or one of these, such as ``face`` or ``["face", "body"]``;
            None: all encoders.

    Returns:
        One row for each encoder: ``name``, ``streams`` (separated by commas; empty: any of its kind), ``summary``,
            ``package``.

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
    names = [] if stream is None else [name.strip() for name in joined(stream).split(",")]
    streams = [registry.get("streams", name) for name in names]
    entries: list[Any] = list(registry.entries("encoders"))
    rows = [
        {"name": e.spec.name, "streams": ", ".join(e.spec.streams), "summary": e.spec.summary, "package": e.package}
        for e in entries
        if stream is None or any(e.spec.reads(one) for one in streams)
    ]
    return pd.DataFrame(rows, columns=["name", "streams", "summary", "package"])
