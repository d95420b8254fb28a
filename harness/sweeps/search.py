"""Search for settings with Optuna (extra ``search``), on videos that are not reported.

A trial's score is the mean over K folds: of the training videos alone, or with ``--folds K`` of the videos that are
cross-validated. In each fold one part is scored, the next chooses the epoch if one is chosen, and the rest trains
(harness.runs.splits). Trial n of a combination depends only on the seed, n and the trials before it, so a killed
search continues as if it had not been interrupted. Finished trials are in ``OUT/search/NAME.journal``, an Optuna
journal.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.config.schema import Chosen, RunConfig, with_settings
from harness.evaluation.scoring import main_score
from harness.io.scratch import scratch
from harness.runs.extraction_workers import ground_of
from harness.runs.folder import default_name
from harness.runs.job import Job, SharedSetup, make_job
from harness.runs.preparation import predict_split, prepare
from harness.runs.splits import assign_splits, split_name
from harness.runtime.launchers import Failure, Launch
from harness.sweeps.entries import Entry
from harness.sweeps.search_space import Choice, Space, current, plain, setting_types, space_of
from harness.training.build import make_augmenter
from harness.training.loop import train
from leaderboards.record import digest
from zoo.errors import UserError
from zoo.registry.suggestions import did_you_mean
from zoo.text import visible


@dataclass(frozen=True)
class Search:
    """A search of ``trials`` per combination, over ``space`` in addition to the usual space, without ``fixed`` keys."""

    trials: int
    folds: int
    space: Space
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fold:
    """One fold of one trial, for a worker.

    ``of``: number of folds; ``whole``: True for folds of train and val, False for folds of train alone.
    """

    config: RunConfig
    fold: int
    of: int
    whole: bool


class Study:
    """The trials of one combination."""

    def __init__(self, entry: Entry, search: Search, shared: SharedSetup, out: Path) -> None:
        assert entry.job is not None
        self.entry, self.job, self.search = entry, entry.job, search
        self.whole = entry.config.folds > 0
        self.folds = entry.config.folds or search.folds
        self.on = split_name(entry.config) if self.whole else f"{self.folds} folds of train"
        self.space = space_of(entry.config, self.job.plan, search.space, search.fixed)
        what = [
            entry.config.model_dump(mode="json"),
            plain(self.space),
            self.folds,
            shared.fingerprint,
            self.job.foreign_plugins,
        ]
        name = f"{default_name(entry.config, 1)}-{digest(what)[:8]}"
        self.trials = _study(out / "search" / f"{name}.journal", name)

    @property
    def count(self) -> int:
        """Number of finished trials, including failed ones."""
        return len(self.trials.get_trials(deepcopy=False))

    def ask(self) -> dict[str, Any]:
        """Return the settings of the next trial. The first trial uses the combination's own settings."""
        import optuna

        n = self.count
        sampler = optuna.samplers.TPESampler(seed=(self.entry.config.seed * 1_000_003 + n) % 2**32)
        memory = optuna.create_study(direction="maximize", sampler=sampler)
        memory.add_trials(self.trials.get_trials(deepcopy=False))
        if n == 0:
            usual = {key: current(self.entry.config, self.job.plan, key) for key in self.space}
            memory.enqueue_trial({key: value for key, value in usual.items() if value in self.space[key]})
        return dict(memory.ask(_distributions(self.space)).params)

    def tell(self, settings: Mapping[str, Any], scores: Sequence[float | Failure]) -> str:
        """Store a finished trial with all its folds, and return a line about it."""
        import optuna

        bad = next((str(score) for score in scores if isinstance(score, Failure)), None)
        numbers = [score for score in scores if not isinstance(score, Failure)]
        value = None if bad else statistics.fmean(numbers)
        if value is not None and not math.isfinite(value):
            value, bad = None, "the score is not finite: no labelled frame in some fold?"
        state = optuna.trial.TrialState.FAIL if bad else optuna.trial.TrialState.COMPLETE
        about: dict[str, Any] = {"reason": bad} if bad else {"folds": numbers}
        self.trials.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=value,
                params=dict(settings),
                distributions=_distributions(self.space),
                user_attrs=about,
            )
        )
        return f"trial {self.count} of {self.search.trials}: " + (f"failed: {bad}" if bad else f"{value:.4f}")

    def best(self) -> tuple[dict[str, Any], float]:
        """Return the settings with the highest score among the first trials; raise UserError if all failed."""
        trials = self.trials.get_trials(deepcopy=False)[: self.search.trials]
        scored = [trial for trial in trials if trial.value is not None]
        if not scored:
            raise UserError("search-all-failed", count=len(trials), value=trials[-1].user_attrs.get("reason"))
        best = max(scored, key=lambda trial: trial.value)
        return dict(best.params), float(best.value)

    def chosen(self) -> RunConfig:
        """Return the combination with the chosen settings and a report of how they were chosen."""
        config = with_settings(self.entry.config, self.best()[0], "the search")
        told = Chosen(trials=self.search.trials, on=self.on, reported=self.whole, keys=tuple(sorted(self.space)))
        return config.model_copy(update={"chosen": told})


def run_search(
    entries: Sequence[Entry], search: Search, shared: SharedSetup, launch: Launch, out: Path
) -> list[RunConfig]:
    """Return the settings of every entry, chosen among ``search.trials`` trials.

    An entry that cannot be built keeps its settings; an entry whose trials all failed is marked as one that cannot be
    built. Trials of different combinations run in parallel.
    """
    studies = {i: Study(e, search, shared, out) for i, e in enumerate(entries) if e.job is not None}
    while behind := [study for study in studies.values() if study.count < search.trials]:
        asked = [study.ask() for study in behind]
        items = [
            Fold(with_settings(study.entry.config, settings, "the search"), fold, study.folds, study.whole)
            for study, settings in zip(behind, asked, strict=True)
            for fold in range(study.folds)
        ]
        owner = [i for i, study in enumerate(behind) for _ in range(study.folds)]
        got: list[dict[int, float | Failure]] = [{} for _ in behind]
        for place, outcome in launch(score_fold, items):
            own = got[owner[place]]
            own[items[place].fold] = outcome
            study = behind[owner[place]]
            if len(own) == study.folds:
                said = study.tell(asked[owner[place]], [own[fold] for fold in range(study.folds)])
                print(visible(f"{study.entry.label}: {said}"), flush=True)
    return [_settled(entry, studies.get(i)) for i, entry in enumerate(entries)]


def _settled(entry: Entry, study: Study | None) -> RunConfig:
    if study is None:
        return entry.config
    try:
        settings, score = study.best()
    except UserError as error:
        entry.job, entry.reason = None, f"--search: {error}"
        return entry.config
    told = ", ".join(
        f"{key}={value:.4g}" if type(value) is float else f"{key}={value}" for key, value in settings.items()
    )
    print(f"{visible(entry.label)}: {told} ({score:.4f} on {study.on})", flush=True)
    return study.chosen()


def score_fold(task: Fold) -> float:
    """Train one fold of a trial and score its part.

    Reported validation videos and test videos are removed from the data first. With ``whole`` the folds are made of
    train and val, so that the validation videos stay.
    """
    job = fold_job(make_job(task.config, progress=False, shared=ground_of(task.config)), task)
    settings = job.config.train
    prepared = prepare(job, progress=False)
    wanted = settings.select == "best" or settings.schedule == "plateau"
    select = prepared.splits.get("select") if wanted else None
    with scratch("trial") as folder:
        train(
            prepared.model,
            prepared.splits["train"],
            select,
            job.track,
            settings,
            seed=job.config.seed,
            world=prepared.world,
            folder=folder,
            progress=False,
            augment=make_augmenter(job.plan, prepared.model, job.config.seed),
        )
        return main_score(job.track, predict_split(job, prepared, "val"))


def fold_job(job: Job, task: Fold) -> Job:
    """Return the job of one fold: ``val`` is scored, ``select`` chooses the epoch, the rest trains."""
    whole = job.whole or job.index
    splits = {"train", "val"} if task.whole else {"train"}
    data = replace(whole, videos=tuple(video for video in whole.videos if video.split in splits), test_list=None)
    if (groups := len({video.group for video in data.videos})) < task.of:
        raise UserError("search-folds-too-many", of=task.of, groups=groups, most=max(3, groups))
    config = job.config.model_copy(update={"folds": task.of, "fold": task.fold})
    return replace(job, config=config, index=assign_splits(data, config), whole=data, split=split_name(config))


def check_spaces(entries: Sequence[Entry], search: Search) -> None:
    """Raise UserError if a space does not fit a combination, or none of them has a key of it."""
    jobs = [(entry.config, entry.job.plan) for entry in entries if entry.job is not None]
    used = {key for config, plan in jobs for key in space_of(config, plan, search.space, search.fixed)}
    known = {key for _, plan in jobs for key in setting_types(plan)}
    for key in search.space:
        if key not in used:
            raise UserError("space-unused", key=key, hint=did_you_mean(key, known))


def check_search(search: Search) -> None:
    """Raise UserError if Optuna is missing, or there are too few folds."""
    try:
        import optuna
    except ImportError:
        raise UserError("optuna-missing") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if search.folds < 3:
        raise UserError("search-folds-too-few", folds=search.folds)


def _study(path: Path, name: str) -> Any:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.JournalStorage(JournalFileBackend(os.fspath(path)))
    return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)


def _distributions(space: Space) -> dict[str, Any]:
    from optuna import distributions as kinds

    found: dict[str, Any] = {}
    for key, kind in sorted(space.items()):
        if isinstance(kind, Choice):
            found[key] = kinds.CategoricalDistribution(kind.values)
        elif kind.whole:
            found[key] = kinds.IntDistribution(int(kind.low), int(kind.high), log=kind.log)
        else:
            found[key] = kinds.FloatDistribution(kind.low, kind.high, log=kind.log)
    return found
