"""A finished run from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

    from harness.predicting.predictor import Predictor
    from leaderboards.record import Record

PathLike = str | Path


class Run:
    """A finished run: its scores, its predictions, and predictions of further videos.

    Args:
        folder: The run.
        plugins: The plugin files that it was made with, which must be named again.

    Raises:
        UserError: It is no finished run (code ``run-not-a-run`` or ``record-invalid``).

    Example:
        >>> import harness
        >>> run = harness.Run("runs/mine")
        >>> run
        Run('runs/mine')
    """

    def __init__(self, folder: PathLike, *, plugins: Sequence[PathLike] = ()) -> None:
        from harness.runs.finished import record_of_run, use_settings
        from harness.runs.folder import saved_config

        self.folder = Path(folder).expanduser()
        self._plugins = [Path(path) for path in plugins]
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
        """All that is known of it.

        Raises:
            UserError: It cannot be read any more (code ``record-invalid``).

        Example:
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
        """The settings that it was made with.

        Example:
            >>> import harness
            >>> harness.load("runs/mine").settings["encoders"]
            'frame=lite0,audio=melcnn'
        """
        return self._config.model_dump(mode="json", exclude_none=True)

    @property
    def scores(self) -> pd.DataFrame:
        """The main scores, a row each for ``raw`` and ``post`` (post-processed), and both of frames with a face alone:
        ``main``, and the ends ``low`` and ``high`` of its 95 % interval.

        Example:
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
        """Its own predictions of a split, one row a frame, with labels where there are some.

        Args:
            split: ``val``, ``test``, or what the run reports instead (``cv6``).
            post: Post-processed ones, not raw ones.

        Returns:
            ``video``, ``frame`` (from 1), ``time`` (seconds), the predictions, labels ``<answer>_true`` (empty where
            unlabelled), ``present_<branch>``.

        Raises:
            UserError: There are none, or they are not those of the record.

        Example:
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
        """Frames by label (rows) and predicted class (columns), of every class of the run's track.

        Args:
            split: See ``predictions``.
            post: See ``predictions``.

        Returns:
            Counts of frames, a row a label and a column a predicted class.

        Raises:
            UserError: The run predicts no class (code ``confusion-no-class``), or has no predictions of the split.

        Example:
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
        names = [str(name) for name in answer.classes]
        counts = np.zeros((len(names), len(names)), np.int64)
        np.add.at(counts, (labelled[f"{answer.name}_true"].to_numpy(int), labelled[answer.name].to_numpy(int)), 1)
        labels, found = pd.Index(names, name="label"), pd.Index(names, name="predicted")
        return pd.DataFrame(counts, index=labels, columns=found)

    def predict(self, video: PathLike, *, people: Literal["main", "all"] = "main") -> pd.DataFrame:
        """Predict a video, image or sound file; the networks stay loaded for the next one.

        Args:
            video: The file.
            people: The main person in it, or everybody.

        Returns:
            One row a frame and person: ``frame``, ``time``, ``person``, the face's box, the predictions,
            ``present_<branch>``.

        Raises:
            UserError: It cannot be read, or has nothing in it that the run looks at.

        Example:
            >>> import harness
            >>> table = harness.load("runs/mine").predict("video.mp4")
            >>> table[["frame", "time", "expression_name"]].head(1)["frame"].item()
            1
        """
        from harness.predicting.command import one_file, predict_file

        return predict_file(one_file(Path(video).expanduser()), self._loaded(), people)

    def predictor(self, *, rate: float = 30.0) -> Predictor:
        """Predict frames and sound as they come, for a loop of one's own.

        Args:
            rate: Frames a second, where no times are given.

        Returns:
            A function of one frame, which also hears sound; see ``harness.predicting.predictor.Predictor``.

        Raises:
            UserError: An input branch of the run needs a data folder (code ``predict-stream-needs-folder``).

        Example:
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
            from harness.predicting.models import RunModel

            self._model = RunModel(self.folder, plugins=self._plugins)
        return self._model

    def _track(self) -> Any:
        from zoo.registry.tracks import find_track, load_plugins

        return find_track(load_plugins(self._config.plugin), self._config.track, self._config.edition)[1]


def load(folder: PathLike, *, plugins: Sequence[PathLike] = ()) -> Run:
    """Load a finished run.

    Args:
        folder: The run.
        plugins: The plugin files that it was made with.

    Returns:
        The run; its networks are loaded when it first predicts.

    Raises:
        UserError: It is no finished run, or a plugin is not named or another.

    Example:
        >>> import harness
        >>> harness.load("runs/mine").record.name
        'mine'
    """
    return Run(folder, plugins=plugins)
