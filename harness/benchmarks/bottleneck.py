"""Stages of a run with their rates, and a sentence about the bottleneck. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.benchmarks.measure import Rates


@dataclass(frozen=True)
class Stage:
    """A part of a run.

    ``rate``, ``limit``: frames/s of the stage, and of the bare decoder, network or loop in it (``limited_by``);
    ``passes``: how often a run takes a frame through it; ``kind``: decode, encode, train or evaluate; ``once``: a part
    of extraction, done once; ``whole``: extraction itself, the sum of those parts, shown but not counted again.
    """

    name: str
    kind: str
    rate: Rates
    limit: Rates
    limited_by: str
    passes: float = 1.0
    once: bool = False
    whole: bool = False

    @property
    def seconds(self) -> float:
        """Seconds per frame in a whole run."""
        return self.passes / self.rate.median


@dataclass(frozen=True)
class Setting:
    """Facts that advice depends on. ``folder``: the data folder as the user would type it, None for the demo set."""

    folder: str | None
    packed: bool
    gpu: bool
    bf16_unused: bool
    trained: tuple[str, ...]
    epochs: int


WORDS = {"decode": "decoding", "encode": "encoding", "train": "training", "evaluate": "evaluation"}


def shares(stages: Sequence[Stage]) -> dict[str, float]:
    """Return kind of stage -> its share of the time of a run; the shares add up to 1.

    Decoding runs in parallel with the networks, so both are scaled to the time of extraction as a whole, if it is
    known.
    """
    seconds: dict[str, float] = {}
    for stage in stages:
        if not stage.whole:
            seconds[stage.kind] = seconds.get(stage.kind, 0.0) + stage.seconds
    for stage in stages:
        parts = [s for s in stages if not s.whole and s.once]
        apart = sum(s.seconds for s in parts)
        if stage.whole and apart:
            for part in parts:
                seconds[part.kind] += part.seconds * (stage.seconds / apart - 1)
    total = sum(seconds.values())
    return {kind: value / total for kind, value in seconds.items()}


def sentence(stages: Sequence[Stage], setting: Setting) -> str:
    """Return a sentence on what takes most of a run's time, and how to change it."""
    parts = shares(stages)
    worst = max(parts, key=lambda kind: parts[kind])
    cached = "" if setting.trained else ", the first with these features"
    return f"{WORDS[worst]}: {parts[worst]:.0%} of the time of a run of {setting.epochs} epochs{cached}; " + advice(
        worst, setting
    )


def advice(kind: str, setting: Setting) -> str:
    """Return advice for a run limited by a kind of stage."""
    if kind == "decode":
        if not setting.packed and setting.folder is not None:
            return f"pack the data: harness data pack {setting.folder}"
        return "it scales with cores: use more of them, or several machines that share the cache"
    if kind == "encode":
        done = "it is done once, later runs read the cache; faster with "
        if setting.bf16_unused:
            return done + "--set features.precision=bf16"
        return done + ("several GPUs that share the cache" if setting.gpu else "a GPU, or a smaller encoder")
    if kind == "train":
        if setting.trained:
            some = ", ".join(setting.trained)
            return f"the encoders of {some} are trained: freeze them (weights, and no --finetune), or use more devices"
        return (
            "a smaller --head, or fewer of --set project.components, or a GPU"
            if not setting.gpu
            else ("larger batches (--set train.batch), or a smaller --head")
        )
    return "score validation less often: --set train.validate_every=5"
