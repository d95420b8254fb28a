"""Scores of tables of predictions, from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from harness.api.arguments import PathLike, paths
from zoo.errors import UserError, first_line

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    predictions: PathLike | pd.DataFrame,
    *,
    track: str,
    labels: PathLike | pd.DataFrame | None = None,
    edition: str | None = None,
    plugins: PathLike | Sequence[PathLike] = (),
) -> pd.Series:
    """Score predictions of any program by an edition's rules, as `harness evaluate --predictions` does.

    Args:
        predictions: A table or its file, one row for each prediction, with the columns of `harness submit
            --predictions`: ``video`` and ``frame`` (or ``image``), and the predictions.
        track: The track, such as ``va``.
        labels: A table or its file with the same keys and the labels; None: the columns ``<answer>_true`` of the
            predictions.
        edition: The edition; None: the newest that has the track.
        plugins: Plugin files with further editions.

    Returns:
        ``main``, the ends ``low`` and ``high`` of its 95 % interval, ``frames`` (labelled rows), ``groups``, and the
        parts of the score.

    Raises:
        UserError: A column is missing, a label cannot be, or a labelled row has no prediction. Predictions outside an
            answer's range are scored as they are.

    Examples:
        >>> import harness
        >>> run = harness.load("runs/mine")
        >>> scores = harness.evaluate(run.predictions(), track="expr")
        >>> bool(abs(scores["main"] - run.scores.loc["post", "main"]) < 1e-6)
        True
    """
    import pandas as pd

    from harness.analysis.score_table import scores_of

    with TemporaryDirectory() as folder:
        tables = {"predictions": predictions, "labels": labels}
        files = {name: _file(table, Path(folder, name)) for name, table in tables.items() if table is not None}
        try:
            found = scores_of(files["predictions"], files.get("labels"), edition, track, paths(plugins))
        except UserError as error:
            _name_tables(error, {name: path for name, path in files.items() if path.parent == Path(folder)})
            raise
    block = found.block
    counts = {"frames": block["frames"], "groups": len(block["groups"])}
    return pd.Series({name: block[name] for name in ("main", "low", "high")} | counts | found.parts, name=track)


def _file(table: PathLike | pd.DataFrame, place: Path) -> Path:
    import pandas as pd
    import pyarrow as pa

    if not isinstance(table, pd.DataFrame):
        return Path(table).expanduser()
    path = place.with_suffix(".parquet")
    try:
        table.to_parquet(path, index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise UserError("predictions-no-table", file=place.name, reason=first_line(error)) from None
    return path


def _name_tables(error: UserError, files: Mapping[str, Path]) -> None:
    """Let an error name a table instead of the file that it was written to."""
    for name, path in files.items():
        error.text = error.text.replace(str(path), name)
        error.fields = {field: name if value == path else value for field, value in error.fields.items()}
