"""Access to a finished run from Python: record, scores, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.api.arguments import PathLike, paths

if TYPE_CHECKING:
    import pandas as pd

    from harness.predicting.predictor import Predictor
    from leaderboards.record import Record


class Run:
    """A finished run: its scores, its predictions, and predictions of further videos.

    Args:
        folder: The folder of the run.
        plugins: The plugin files that the run was made with, which must be named again.

    Attributes:
        folder: The folder of the run.

    Raises:
        UserError: The folder is not a finished run (code ``run-not-a-run`` or ``record-invalid``).

    Examples:
        >>> import harness
        >>> run = harness.Run("runs/mine")
        >>> run
        Run('runs/mine')
    """

    def __init__(self, folder: PathLike, *, plugins: PathLike | Sequence[PathLike] = ()) -> None:
        from harness.runs.finished import record_of_run, use_settings
        from harness.runs.folder import saved_config

        self.folder = Path(folder).expanduser()
        self._plugins = paths(plugins)
        config = saved_config(self.folder)
        if record_of_run(self.folder) is None:
            from zoo.errors import UserError

            raise UserError("run-not-a-run", folder=self.folder)
        self._config, _ = use_settings(self.folder, config, self._plugins)
        self._model: Any = None

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def record(self) -> Record:
        """The record of the run: scores, settings, data, versions.

        Raises:
            UserError: The record can no longer be read (code ``record-invalid``).

        Examples:
            >>> import harness
            >>> harness.load("runs/mine").record.status
            'done'
        """
        from harness.runs.finished import record_of_run

        record = record_of_run(self.folder)
        assert record is not None
        return record

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run, nested as in config.toml.

        Examples:
            >>> import harness
            >>> harness.load("runs/mine").settings["encoders"]
            'frame=lite0,audio=melcnn'
        """
        return self._config.model_dump(mode="json", exclude_none=True)

    @property
    def scores(self) -> pd.DataFrame:
        """The main scores of the run.

        One row for each of ``raw`` and ``post`` (post-processed), and for both on frames with a face only. Columns:
        ``main``, and the ends ``low`` and ``high`` of its 95 % interval.

        Examples:
            >>> import harness
            >>> scores = harness.load("runs/mine").scores
            >>> list(scores.columns)
            ['main', 'low', 'high']
            >>> bool(scores.loc["raw", "low"] <= scores.loc["raw", "main"] <= scores.loc["raw", "high"])
            True
        """
        import pandas as pd

        return pd.DataFrame.from_dict({kind: dict(block) for kind, block in self.record.scores.items()}, orient="index")

    def predictions(self, split: str = "val", *, post: bool = True) -> pd.DataFrame:
        """Return the run's saved predictions of a split, with labels if there are any.

        Args:
            split: ``val``, ``test``, or another split that the run reports, such as ``cv6``.
            post: True for post-processed predictions, False for raw ones.

        Returns:
            One row for each frame: ``video``, ``frame`` (from 1), ``time`` (seconds), the predictions, labels
            ``<answer>_true`` (NaN if unlabelled), ``present_<branch>``.

        Raises:
            UserError: The run has no predictions of the split, or they are not the recorded ones.

        Examples:
            >>> import harness
            >>> table = harness.load("runs/mine").predictions("val", post=False)
            >>> known = table[table["expression_true"].notna()]
            >>> accuracy = (known["expression"] == known["expression_true"]).mean()
        """
        from harness.evaluation.prediction_tables import to_frame
        from harness.runs.finished import read_own

        track = self._track()
        path = self.folder / "predictions" / f"{split}{'.post' if post else ''}.parquet"
        table = to_frame(track.answers, read_own(path, track))
        return table.drop(columns=[c for c in table.columns if str(c).startswith("extra_") or c == "group"])

    def confusion(self, split: str = "val", *, post: bool = True) -> pd.DataFrame:
        """Return the confusion matrix of the run's class predictions.

        Args:
            split: See ``predictions``.
            post: See ``predictions``.

        Returns:
            Numbers of frames, one row for each label and one column for each predicted class.

        Raises:
            UserError: The run does not predict classes (code ``confusion-no-class``), has no such predictions, or these
                have no labels (code ``confusion-no-labels``).

        Examples:
            >>> import harness
            >>> counts = harness.load("runs/mine").confusion()
            >>> list(counts.index) == list(counts.columns)
            True
        """
        import numpy as np
        import pandas as pd

        from zoo.errors import UserError

        track = self._track()
        answer = next((answer for answer in track.answers if answer.kind == "class"), None)
        if answer is None:
            raise UserError("confusion-no-class", folder=self.folder, track=track.name)
        table = self.predictions(split, post=post)
        labelled = table[table[f"{answer.name}_true"].notna()]
        if labelled.empty:
            raise UserError("confusion-no-labels", folder=self.folder, split=split)
        names = [str(name) for name in answer.classes]
        counts = np.zeros((len(names), len(names)), np.int64)
        np.add.at(counts, (labelled[f"{answer.name}_true"].to_numpy(int), labelled[answer.name].to_numpy(int)), 1)
        labels, found = pd.Index(names, name="label"), pd.Index(names, name="predicted")
        return pd.DataFrame(counts, index=labels, columns=found)

    def predict(self, video: PathLike, *, people: Literal["main", "all"] = "main") -> pd.DataFrame:
        """Predict a video, image or sound file. The networks stay loaded for the next call.

        Args:
            video: The file.
            people: ``main`` for the main person, ``all`` for everybody.

        Returns:
            One row for each frame and person: ``video``, ``frame`` (from 1), ``time`` (seconds), ``person`` (from 1),
            the face box ``x0`` to ``y1`` (pixels; NaN if no face is detected) with its ``score``, the predictions,
            ``present_<branch>``.

        Raises:
            UserError: The file cannot be read, or has no data for the run's input branches.

        Examples:
            >>> import harness
            >>> table = harness.load("runs/mine").predict("video.mp4")
            >>> table[["frame", "time", "expression_name"]].head(1)["frame"].item()
            1
        """
        from harness.predicting.command import one_file, predict_file

        return predict_file(one_file(video), self._loaded(), people)

    def predictor(self, *, rate: float = 30.0) -> Predictor:
        """Return a predictor of frames and sound as they arrive, for use in a loop.

        Args:
            rate: Frames a second, used if calls give no times.

        Returns:
            A function of one frame, with a method ``hear`` for sound; see ``harness.predicting.predictor.Predictor``.

        Raises:
            UserError: An input branch of the run needs a data folder (code ``predict-stream-needs-folder``).

        Examples:
            >>> import harness
            >>> import numpy as np
            >>> predictor = harness.load("runs/mine").predictor(rate=25)
            >>> camera = [np.zeros((64, 96, 3), np.uint8)] * 2  # frames, RGB
            >>> for frame in camera:
            ...     row = predictor(frame)
            >>> row["time"]
            0.04
        """
        from harness.predicting.predictor import Predictor

        return Predictor(self._loaded(), rate=rate)

    def _loaded(self) -> Any:
        if self._model is None:
            from harness.predicting.command import load_model

            self._model = load_model(str(self.folder), plugins=self._plugins)
        return self._model

    def _track(self) -> Any:
        from zoo.registry.tracks import find_track, load_plugins

        return find_track(load_plugins(self._config.plugin), self._config.track, self._config.edition)[1]


def load(folder: PathLike, *, plugins: PathLike | Sequence[PathLike] = ()) -> Run:
    """Load a finished run.

    Args:
        folder: The folder of the run.
        plugins: The plugin files that the run was made with.

    Returns:
        The run. Its networks are loaded at the first prediction.

    Raises:
        UserError: The folder is not a finished run, or a plugin file is missing or has changed.

    Examples:
        >>> import harness
        >>> harness.load("runs/mine").record.name
        'mine'
    """
    return Run(folder, plugins=plugins)
