"""From a configuration to a job: load plugins, resolve names, index data. Finds all mistakes that need no pixels."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

from harness.config.schema import RunConfig
from harness.data.affwild2.build import build_index
from harness.data.index.index import Index
from harness.data.packed.locate import find_pack
from harness.runs.splits import EpochSource, assign_splits, check_kind, find_origin, split_name
from harness.runs.stages import Stage, find_stages
from harness.runs.teacher import Teacher, find_teacher
from zoo.api import EditionSpec, LoggerSpec, TrackSpec
from zoo.errors import UserError
from zoo.files import file_sha256
from zoo.registry.augmentations import DEFAULT, augmentation_texts
from zoo.registry.lora import adapter_texts
from zoo.registry.plan import Block, Plan, make_plan, named_encoders
from zoo.registry.registry import Entry, Registry, check_options
from zoo.registry.tracks import find_track, load_plugins
from zoo.weights.cards import cache_dir


@dataclass(frozen=True)
class Job:
    """One combination on one track of one data folder.

    ``index``: with splits as the run uses them (harness.runs.splits); ``whole``: with the original splits, if they
    differ; ``split``: the name of the reported split; ``origin``: the run whose number of epochs is trained;
    ``stages``: the runs whose predictions it reads.
    ``teacher``: the run that teaches this one.
    """

    config: RunConfig
    registry: Registry
    edition: EditionSpec
    track: TrackSpec
    plan: Plan
    index: Index
    data_name: str
    synthetic: bool
    whole: Index | None = None
    split: str = "val"
    origin: EpochSource | None = None
    stages: tuple[Stage, ...] = ()
    teacher: Teacher | None = None

    def loggers(self) -> list[Block[LoggerSpec]]:
        """Return what notes the course of the training; UserError for an unknown logger or option."""
        return chosen_loggers(self.config, self.registry)

    @property
    def foreign_plugins(self) -> list[str]:
        """Return the packages or files of the blocks in use that do not belong to this project."""
        used = [("encoders", s.encoder.name) for s in self.plan.slots] + [
            ("streams", s.stream.name) for s in self.plan.slots
        ]
        used += [("fusions", self.plan.fusion.spec.name), ("heads", self.plan.head.spec.name)]
        used += [("augmentations", one.spec.name) for chain in self.plan.augment.values() for one in chain]
        used += [("losses", block.spec.name) for block in self.plan.losses.values()]
        used += [("postprocessors", block.spec.name) for block in self.plan.post] + [("editions", self.edition.name)]
        used += [("loggers", name) for name in self.config.logger]
        entries = [self.registry.entry(kind, name) for kind, name in used]
        return sorted({_origin(entry) for entry in entries if not entry.package.startswith("abaw-zoo")})


def chosen_loggers(config: RunConfig, registry: Registry) -> list[Block[LoggerSpec]]:
    """Return the loggers that a configuration chooses; UserError for an unknown logger or option."""
    given = dict(config.logger_options)
    chosen = []
    for name in config.logger:
        spec = registry.get("loggers", name)
        keys = [key for key in given if key.partition(".")[0] == name]
        chosen.append(Block(spec, check_options(spec, {key.partition(".")[2]: given.pop(key) for key in keys})))
    if given:
        raise UserError("logger-not-chosen", key=next(iter(given)), names=", ".join(config.logger) or "none")
    return chosen


def _origin(entry: Entry) -> str:
    """Describe a foreign plugin for the record: its package, or a file's name and digest."""
    path = Path(entry.plugin)
    return f"{path.name} sha256 {file_sha256(path)}" if path.is_file() else entry.package


def plan_of(config: RunConfig, registry: Registry, track: TrackSpec) -> Plan:
    """Return the plan of the configuration's combination, with names resolved."""
    return make_plan(
        registry,
        encoders=config.encoders,
        fusion=config.fusion,
        head=config.head,
        answers=track.answers,
        losses=config.loss,
        post=config.post,
        finetune=config.finetune,
        adapt=config.adapt,
        augment=config.augment or (),
        views=config.features.views > 0 or config.tta.views > 0,
        options=config.options,
    )


def with_names(config: RunConfig, registry: Registry | None = None) -> RunConfig:
    """Return the configuration of a new run with every encoder named, for its config.toml and record.

    Trained encoders of a new run have the default augmentations if it names none. The settings of an older run stay as
    they are: an encoder that they leave out is the stream's default encoder, and nothing is augmented.
    """
    registry = load_plugins(config.plugin) if registry is None else registry
    update = {"encoders": named_encoders(registry, config.encoders), "augment": config.augment or (DEFAULT,)}
    return config.model_copy(update=update)


@dataclass(frozen=True)
class SharedSetup:
    """Plugins, track and data that several combinations have in common."""

    registry: Registry
    edition: EditionSpec
    track: TrackSpec
    index: Index
    data_name: str
    synthetic: bool

    @functools.cached_property
    def fingerprint(self) -> str:
        """Return the fingerprint of the index."""
        return self.index.fingerprint()


def prepare_shared(config: RunConfig, *, progress: bool = True) -> SharedSetup:
    """Load the plugins, track and data of a configuration, whatever blocks it combines."""
    registry, edition, track = _task(config)
    return _shared_setup(config, registry, edition, track, progress)


def make_job(
    config: RunConfig,
    *,
    progress: bool = True,
    shared: SharedSetup | None = None,
    trained: bool = False,
    averaged_later: bool = False,
) -> Job:
    """Build a job, and find every mistake that can be found before pixels are read.

    ``shared``: the shared setup of this configuration, if it exists already. ``trained``: the run is trained already,
    so the one that taught it is not looked for, and what was refused or marked before its training is not again.
    ``averaged_later``: its test-time augmentation was chosen after its training, as by `harness evaluate --tta`.
    """
    check_kind(config)
    registry, edition, track = (shared.registry, shared.edition, shared.track) if shared else _task(config)
    config = config.model_copy(update={"edition": edition.name})  # "latest edition" may mean another one tomorrow
    plan = plan_of(config, registry, track)
    # "The default set" may mean another one tomorrow too, and nothing for a run whose encoders are all frozen. The
    # options of adapters are written out as well, because their defaults may change.
    chosen = {"augment": augmentation_texts(plan.augment) or None}
    config = config.model_copy(update={**chosen, "adapt": adapter_texts({s.name: s.lora for s in plan.slots})})
    if config.train.evaluation == "full" and not plan.head.spec.full:
        raise UserError("evaluation-full", name=plan.head.spec.name)
    shared = shared or _shared_setup(config, registry, edition, track, progress)
    index = shared.index
    from harness.data.streams.sources import check_needs

    check_needs(index, [slot.stream for slot in plan.slots])
    assigned = assign_splits(index, config)
    stages = find_stages(plan.slots, index, config, trained=trained)

    def build(own: RunConfig) -> Job:
        alike = all(getattr(own, name) == getattr(config, name) for name in ("track", "edition", "data", "plugin"))
        return make_job(own, progress=progress, shared=shared if alike else None, trained=True)

    teach = (
        None if trained else find_teacher(config, assigned, index, track, registry, build, synthetic=shared.synthetic)
    )
    return Job(
        config,
        registry,
        edition,
        track,
        plan,
        assigned,
        shared.data_name,
        shared.synthetic,
        whole=index,
        split=split_name(config),
        origin=find_origin(config, index, registry, averaged_later=trained or averaged_later),
        stages=stages,
        teacher=teach,
    )


def _task(config: RunConfig) -> tuple[Registry, EditionSpec, TrackSpec]:
    registry = load_plugins(config.plugin)
    edition, track = find_track(registry, config.track, config.edition)
    if not track.folders:
        raise UserError("track-not-trainable", name=edition.name, name2=track.name, data=track.data)
    return registry, edition, track


def _shared_setup(
    config: RunConfig, registry: Registry, edition: EditionSpec, track: TrackSpec, progress: bool
) -> SharedSetup:
    root, name, synthetic = data_folder(config, progress=progress)
    index = build_index(
        root,
        edition,
        track,
        test_list=Path(config.data.list) if config.data.list else None,
        crops=config.data.crops,
        frame_tolerance=config.data.frame_tolerance,
    )
    index = replace(index, pack=find_pack(root, config.data.pack))
    return SharedSetup(registry, edition, track, index, name, synthetic)


def data_folder(config: RunConfig, *, progress: bool = True) -> tuple[Path, str, bool]:
    """Return the data folder, its name, and whether it is the synthetic demo set (made once if no folder is named)."""
    if config.data_dir is None:
        root = demo_folder(progress=progress)
    else:
        root = Path(config.data_dir)
        if not root.is_dir():
            raise UserError("data-missing", root=root)
    synthetic = (root / "demo.json").is_file()
    return root, "demo" if synthetic else root.resolve().name, synthetic


def demo_folder(*, progress: bool = True) -> Path:
    """Return the demo set in the cache; it is made on first use."""
    from harness.data.synthetic import DEMO_VERSION, make_demo

    root = cache_dir() / "demo" / f"v{DEMO_VERSION}"
    make_demo(root, progress=progress)
    return root
