"""Finished runs beside one another, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.finished import PathLike, Run

if TYPE_CHECKING:
    import pandas as pd


def compare(first: PathLike | Run, *others: PathLike | Run, plugins: Sequence[PathLike] = ()) -> pd.DataFrame:
    """Compare finished runs with the first on the same videos: what each has more.

    Args:
        first: A run.
        others: One or more.
        plugins: Their plugin files.

    Returns:
        One row a figure: ``run``, ``figure``, ``first``, ``other``, ``difference``, and the ends ``low`` and ``high``
        of its 95 % interval.

    Raises:
        UserError: They have no figures in common.

    Example:
        >>> import harness
        >>> table = harness.compare("runs/mine", "runs/mine")
        >>> bool((table["difference"] == 0).all())
        True
    """
    import pandas as pd

    from harness.analysis.differences import differences

    paths = [Path(run.folder if isinstance(run, Run) else run) for run in (first, *others)]
    rows = differences(paths, [Path(path) for path in plugins])
    return pd.DataFrame(rows, columns=["run", "figure", "first", "other", "difference", "low", "high"])
