"""Comparison of finished runs from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.arguments import PathLike, paths
from harness.api.finished import Run

if TYPE_CHECKING:
    import pandas as pd


def compare(
    first: PathLike | Run | Sequence[PathLike | Run],
    *others: PathLike | Run,
    plugins: PathLike | Sequence[PathLike] = (),
) -> pd.DataFrame:
    """Compare finished runs with a first one on the same videos.

    Args:
        first: The run, or its folder, that the others are compared with; or a list of all of them.
        others: One or more runs or folders.
        plugins: The plugin files of the runs.

    Returns:
        One row for each figure: ``run``, ``figure``, ``first`` and ``other`` (the figure of both runs), ``difference``
        (other minus first), and the ends ``low`` and ``high`` of its 95 % interval.

    Raises:
        UserError: The runs have no figures in common.

    Examples:
        >>> import harness
        >>> table = harness.compare("runs/mine", "runs/mine")
        >>> bool((table["difference"] == 0).all())
        True
    """
    import pandas as pd

    from harness.analysis.differences import differences

    runs = [first] if isinstance(first, str | Path | Run) else first
    folders = [run.folder if isinstance(run, Run) else run for run in (*runs, *others)]
    rows = differences(paths(folders), paths(plugins))
    return pd.DataFrame(rows, columns=["run", "figure", "first", "other", "difference", "low", "high"])
