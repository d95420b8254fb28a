"""The harness from Python: what ``import harness`` gives. The command line is thin over the same functions.

Everything that a command refuses in one line is an exception here, ``zoo.errors.UserError``, with a ``code`` that stays
the same and the ``fields`` that its text is made from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

    from harness.predicting.predictor import Predictor
    from leaderboards.record import Record

__all__ = ["Run", "compare", "encoders", "load", "predict", "run", "sweep"]

PathLike = str | Path


class Run:
    """A finished run: its scores, its predictions, and predictions of further videos.

    Args:
        folder: The run.
        plugins: The plugin files that it was made with, which must be named again.

    Raises:
        UserError: It is no finished run (code ``run-not-a-run`` or ``record-invalid``).
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
        """All that is known of it."""
        from harness.runs.finished import record_of_run

        record = record_of_run(self.folder)
        assert record is not None
        return record

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that it was made with."""
        return self._config.model_dump(mode="json", exclude_none=True)

    @property
    def scores(self) -> pd.DataFrame:
        """The main scores, a row each for ``raw`` and ``post`` (post-processed), and both of frames with a face alone:
        ``main``, and the ends ``low`` and ``high`` of its 95 % interval."""
        import pandas as pd

        return pd.DataFrame.from_dict({kind: dict(block) for kind, block in self.record.scores.items()}, orient="index")

    def predictions(self, split: str = "val", *, post: bool = True) -> pd.DataFrame:
        """Its own predictions of a split, one row a frame, with labels where there are some.

        Args:
            split: ``val``, ``test``, or what the run reports instead (``cv6``).
            post: Post-processed ones, not raw ones.

        Raises:
            UserError: There are none, or they are not those of the record.
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

        Raises:
            UserError: The run predicts no class (code ``confusion-no-class``), or has no predictions of the split.
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
        """
        from harness.predicting.command import one_file, predict_file

        return predict_file(one_file(Path(video).expanduser()), self._loaded(), people)

    def predictor(self, *, rate: float = 30.0) -> Predictor:
        """Predict frames and sound as they come, for a loop of one's own.

        Args:
            rate: Frames a second, where no times are given.
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
    """
    return Run(folder, plugins=plugins)


def run(
    *,
    encoders: str | None = None,
    fusion: str | None = None,
    head: str | None = None,
    data: PathLike | None = None,
    track: str | None = None,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
    out: PathLike = "runs",
    name: str | None = None,
    seeds: int = 1,
) -> Run:
    """Train and evaluate a combination, as `harness run` does.

    Args:
        encoders: Input branches, as ``face,audio=egemaps``.
        fusion: How they are brought together.
        head: The temporal model.
        data: An Aff-Wild2 folder; None: the synthetic demo set.
        track: ``va``, ``expr``, ``au``, ``mtl``.
        recipe: Settings; None: ``demo`` for the demo set, ``default`` for all other data.
        settings: Any other setting, ``{"train.epochs": 5}``.
        out: Where the run's folder is made.
        name: The folder's name; None: made from the combination.
        seeds: Train with so many.

    Raises:
        UserError: The parts do not fit, or the data cannot be used.
    """
    from harness.config.recipe import recipe_of
    from harness.config.schema import load_config, with_settings
    from harness.reports.making import leave_report
    from harness.runs.start import start

    flags = {"encoders": encoders, "fusion": fusion, "head": head, "track": track, "data_dir": _text(data)}
    config = load_config(recipe or recipe_of(data), flags, [])
    config = with_settings(config, settings, "settings") if settings else config
    return Run(start(config, out=Path(out), name=name, seeds=seeds, after=leave_report))


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
        model: What predicts: the folder of a finished run, or a ready model (``fer``, ``hsemotion:NAME``); None: the
            ready model of the default recipe.
        people: The main person in it, or everybody.
        plugins: The plugin files that the run was made with.

    Raises:
        UserError: There is no such model, or the file cannot be predicted.
    """
    from harness.predicting.command import load_model, one_file, predict_file

    file = one_file(Path(video).expanduser())
    return predict_file(file, load_model(_text(model), plugins=[Path(path) for path in plugins]), people)


def encoders(stream: str | None = None) -> pd.DataFrame:
    """List the encoders, those of one stream where it is named: ``name``, ``streams``, ``summary``, ``package``."""
    import pandas as pd

    from zoo.registry.registry import load as load_registry

    entries: list[Any] = list(load_registry([]).entries("encoders"))
    rows = [
        {"name": e.spec.name, "streams": ", ".join(e.spec.streams), "summary": e.spec.summary, "package": e.package}
        for e in entries
        if stream is None or stream in e.spec.streams
    ]
    return pd.DataFrame(rows, columns=["name", "streams", "summary", "package"])


def sweep(
    encoders: Sequence[str],
    *,
    fusion: Sequence[str] = ("late",),
    head: Sequence[str] = ("gru",),
    data: PathLike | None = None,
    track: str | None = None,
    recipe: str | None = None,
    settings: Mapping[str, Any] | None = None,
    out: PathLike = "runs",
    seeds: int = 1,
    jobs: int | None = None,
) -> pd.DataFrame:
    """Train all combinations, as `harness sweep` does, and rank them, best first.

    Args:
        encoders: Lists of input branches, ``["face", "face,audio"]``.
        fusion: Fusions.
        head: Heads.
        data: See ``run``.
        track: See ``run``.
        recipe: See ``run``.
        settings: See ``run``.
        out: The folder of runs; what is finished in it is not trained again.
        seeds: Train each with so many.
        jobs: Trainings at once; None: one a GPU, or a core.

    Returns:
        One row a combination that is done: ``run``, ``encoders``, ``fusion``, ``head``, ``main``, ``low``, ``high``
        (post-processed where there are such scores).
    """
    import pandas as pd

    from harness.config.recipe import recipe_of
    from harness.config.schema import with_settings
    from harness.sweeps.grid import configurations, grid
    from harness.sweeps.launch import How, plan_all, train_all

    flags = {"track": track, "data_dir": _text(data)}
    combinations = grid(";".join(encoders), ",".join(fusion), ",".join(head))
    configs = configurations(recipe or recipe_of(data), flags, [], combinations)
    if settings:
        configs = [with_settings(config, settings, "settings") for config in configs]
    how = How(jobs=jobs)
    shared, entries = plan_all(configs, Path(out), seeds, how)
    entries = train_all(entries, shared, Path(out), how)
    rows = []
    for entry in entries:
        if (record := entry.record) is not None and record.status == "done":
            block: Mapping[str, Any] = record.scores.get("post") or record.scores.get("raw") or {}
            named = {key: getattr(entry.config, key) for key in ("encoders", "fusion", "head")}
            rows.append({"run": record.name, **named, **block})
    columns = ["run", "encoders", "fusion", "head", "main", "low", "high"]
    return pd.DataFrame(rows, columns=columns).sort_values("main", ascending=False, ignore_index=True)


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
    """
    import pandas as pd

    from harness.analysis.differences import differences

    paths = [Path(run.folder if isinstance(run, Run) else run) for run in (first, *others)]
    rows = differences(paths, [Path(path) for path in plugins])
    return pd.DataFrame(rows, columns=["run", "figure", "first", "other", "difference", "low", "high"])


def _text(path: PathLike | None) -> str | None:
    return None if path is None else str(path)
