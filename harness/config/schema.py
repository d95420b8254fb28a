"""The resolved configuration of a run: defaults < recipe < flags < --set. An unknown key is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from harness.config.distill import Distill
from harness.config.overrides import Overrides, put_all, read_overrides, refuse_unstorable
from harness.config.recipe import read_recipe, recipe_of, with_encoders
from harness.config.section import PathText, Section, from_home
from harness.config.training_options import FineTuning, Sampling, check_agreement
from harness.config.tta import Tta
from zoo.errors import UserError
from zoo.registry.suggestions import did_you_mean
from zoo.text import seen_toml


def _as_list(value: Any) -> Any:
    """Take one text, as ``--set`` gives it, as a list of one text."""
    return (value,) if isinstance(value, str) else value


class Train(FineTuning, Sampling):
    """Settings of the training. Times are in epochs unless stated otherwise."""

    epochs: int = Field(30, ge=1, description="train for at most N epochs")
    min_steps: int = Field(
        700,
        ge=0,
        description="plan at least N optimiser steps: on a small set an epoch visits every clip several times; "
        "0 if epochs are given without it",
    )
    clip: int = Field(64, ge=1, description="frames per training clip and evaluation window")
    batch: int = Field(16, ge=1, description="clips per batch")
    optimizer: Literal["adamw", "adam", "sgd"] = Field("adamw", description="optimizer of torch.optim")
    lr: float = Field(3e-4, gt=0, description="highest learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float = Field(
        1e-2, ge=0, description="weight decay of matrices; biases, norms and embedding tables have none"
    )
    schedule: Literal["one_cycle", "cosine", "plateau", "constant"] = Field(
        "cosine", description="learning rate schedule"
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the steps with a rising learning rate, for cosine")
    select: Literal["best", "last"] = Field(
        "best", description="keep the epoch with the best validation score, or the last"
    )
    validate_every: int = Field(1, ge=1, description="epochs between validation scores; the last epoch always has one")
    plateau: int = Field(5, ge=0, description="epochs without a better score before the rate falls, for plateau")
    plateau_factor: float = Field(0.1, gt=0, lt=1, description="factor by which the rate falls, for plateau")
    patience: int = Field(10, ge=0, description="stop after N epochs without a better validation score; 0: never")
    grad_clip: float = Field(1.0, ge=0, description="clip the gradient at this norm; 0: off")
    modality_dropout: float = Field(
        0.1, ge=0, lt=1, description="probability that an input branch is dropped from a clip"
    )
    feature_noise: float = Field(0.0, ge=0, description="standard deviation of noise added to the inputs of the fusion")
    output_dropout: float = Field(0.2, ge=0, lt=1, description="dropout before the output layer")
    mixup: float = Field(0.0, ge=0, description="mix two clips with Beta(X, X) weights; 0: off")
    average: Literal["none", "ema", "swa"] = Field(
        "none", description="average the weights that are evaluated and kept"
    )
    ema_decay: float = Field(0.999, gt=0, lt=1, description="decay of the average, for ema")
    swa_start: float = Field(
        0.75, ge=0, lt=1, description="share of the epochs after which weights are averaged, for swa"
    )
    delay: float = Field(
        0.0, ge=0, description="seconds that annotators lag behind the video; shifts training targets only"
    )
    gaps: Literal["keep", "close"] = Field(
        "keep", description="keep frames without labels in training clips, or cut them out"
    )
    mtl: Literal["sum", "uncertainty"] = Field(
        "sum", description="sum the losses of several kinds of predictions, or learn their weights"
    )
    evaluation: Literal["windows", "full"] = Field(
        "windows", description="predict overlapping windows, or whole videos at once"
    )
    precision: Annotated[Literal["32", "bf16-mixed"], BeforeValidator(str)] = Field(
        "32", description="precision of the networks in training and prediction"
    )
    batch_norm: Literal["train", "frozen"] = Field(
        "train", description="train the batch norms of trained encoders, or keep their statistics"
    )
    shuffle_labels: bool = Field(False, description="train on labels of other videos, as a control")

    @model_validator(mode="before")
    @classmethod
    def _epochs_as_given(cls, given: Any) -> Any:
        """Set ``min_steps`` to 0 if epochs are given alone: in a recipe, a call, or a file older than ``min_steps``."""
        if isinstance(given, dict) and "epochs" in given and "min_steps" not in given:
            return {**given, "min_steps": 0}
        return given

    @model_validator(mode="after")
    def _settings_agree(self) -> Train:
        check_agreement(self)
        return self


class Project(Section):
    """Settings of the projection from cached features to the fusion (zoo.model.adapter)."""

    method: Literal["pca", "none", "raw"] = Field(
        "pca", description="project features by principal components, standardise only, or leave as they are"
    )
    components: int = Field(256, ge=1, description="number of principal components")
    width: int = Field(128, ge=1, description="features per branch at the input of the fusion")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout of the projected features")


class Features(Section):
    """Settings for computing and storing features of frozen encoders."""

    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto", description="precision of frozen encoders; auto: bf16 if the machine has it and it is close to float32"
    )
    tolerance: float = Field(0.1, gt=0, description="largest relative difference of bf16 from float32 at any frame")
    chunk: int = Field(64, ge=1, description="frames encoded at once; part of the cache key")
    store: Literal["float16", "float32"] = Field(
        "float16", description="type of features on disk; part of the cache key"
    )
    views: int = Field(
        0, ge=0, description="augmented views of the pictures of frozen encoders; each training clip gets one, or none"
    )


class Data(Section):
    """Settings for reading the data folder."""

    crops: Literal["cropped_aligned", "cropped"] = Field("cropped_aligned", description="folder of face crops to read")
    frame_tolerance: int = Field(1, ge=0, description="frames by which annotation and video may differ in length")
    list: PathText | None = Field(None, description="test list or example file of the organisers")
    pack: PathText | None = Field(None, description="pack to read instead of DATA/pack; none: no pack")


class Chosen(Section):
    """Report of a search for settings (`harness sweep --search`). It has no effect on the training."""

    trials: int = Field(0, ge=0, description="how many were tried; 0: none were")
    on: str = Field("", description="what the trials were scored on")
    reported: bool = Field(False, description="whether that is what is reported too")
    keys: tuple[str, ...] = Field((), description="the settings that were chosen")


class RunConfig(Section):
    """All settings that decide a run's result. Written to config.toml; running that file repeats the run."""

    recipe: str | None = None
    encoders: str = "face,context"
    fusion: str = "late"
    head: str = "gru"
    track: str = "va"
    edition: str | None = None
    data_dir: PathText | None = None
    loss: tuple[str, ...] = ()
    post: tuple[str, ...] = ("interpolate", "smooth", "clip")
    finetune: tuple[str, ...] = ()
    adapt: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field(
        (), description="adapters of pretrained encoders, trained in place of their weights: BRANCH=lora:rank=N,..."
    )
    augment: Annotated[tuple[str, ...] | None, BeforeValidator(_as_list)] = Field(
        None, description="augmentations of trained encoders: default, none, or BRANCH=NAME,NAME,..."
    )
    plugin: tuple[PathText, ...] = ()
    seed: int = 0
    folds: int = Field(0, ge=0, description="k-fold over train and val by group; 0: the splits as they are")
    folds_of: Annotated[tuple[Literal["train", "val"], ...], BeforeValidator(_as_list)] = Field(
        ("train", "val"), description="train: folds of the training videos alone, so that val stays unseen"
    )
    fold: int = Field(-1, ge=-1, description="one of these folds, as in RUN/fold-<f>; -1: all")
    fit: tuple[str, ...] = Field((), description="train,val: train on both, with the epochs of epochs_from")
    epochs_from: PathText | None = Field(None, description="the run whose chosen number of epochs is trained, with fit")
    zero_shot: bool = Field(False, description="score an encoder that predicts by itself; nothing is trained")
    trees: bool = Field(False, description="fit boosted trees on frozen features; no network is trained")
    merge: Literal["mean", "vote", "ccc"] = Field(
        "mean", description="merge the test predictions of folds or seeds by mean, vote or ccc"
    )
    device: str = "auto"
    devices: int = Field(1, ge=1, description="processes a machine, one a device, that share each batch")
    nodes: int = Field(1, ge=1, description="machines")
    train: Train = Train()
    project: Project = Project()
    features: Features = Features()
    tta: Tta = Tta()
    distill: Distill = Distill()
    data: Data = Data()
    chosen: Chosen = Chosen()
    logger: tuple[str, ...] = Field(("tensorboard",), description="loggers of the training (`harness list loggers`)")
    logger_options: dict[str, Annotated[Any, AfterValidator(from_home)]] = Field(default_factory=dict)
    options: dict[str, Annotated[Any, AfterValidator(from_home)]] = Field(default_factory=dict)

    def toml(self) -> str:
        """Return the configuration as TOML: sections last, Nones and empty sections left out."""
        plain = self.model_dump(mode="json", exclude_none=True)
        return seen_toml(tomli_w.dumps({key: value for key, value in plain.items() if value != {}}))


def load_config(recipe: str | None, flags: Mapping[str, Any], sets: Overrides) -> RunConfig:
    """Build a configuration from a recipe, flags and settings.

    ``recipe``: see harness.config.recipe; ``flags``: top-level values (None: not given); ``sets``: ``key=value`` texts
    with dotted keys, or values by dotted key. A top-level value does the same among ``sets`` as among ``flags``, for
    example it chooses the recipe's settings for a track; ``sets`` go over ``flags``.
    """
    settings = read_overrides(sets)
    recipe = settings.pop("recipe", None) or recipe
    given = {k: v for k, v in flags.items() if v is not None} | {k: v for k, v in settings.items() if "." not in k}
    tree = {**read_recipe(str(recipe), given), **given} if recipe else given
    defaults = tree.pop("default_encoders", {}) if recipe else {}
    put_all(tree, settings)
    encoders = tree.setdefault("encoders", RunConfig.model_fields["encoders"].default)
    if isinstance(encoders, str):
        tree["encoders"] = with_encoders(encoders, defaults)
    source = "settings" if isinstance(sets, Mapping) else "the command line"
    return validate(tree, source + (f" and recipe {recipe}" if recipe else ""))


def load_usual(recipe: str | None, flags: Mapping[str, Any], sets: Overrides) -> RunConfig:
    """Do the same as `load_config` with the default recipe of the data folder if none is named."""
    data = read_overrides(sets).get("data_dir", flags.get("data_dir"))
    return load_config(recipe or recipe_of(None if data is None else str(data)), flags, sets)


def with_settings(config: RunConfig, settings: Mapping[str, Any], where: str) -> RunConfig:
    """Return a configuration with other values for some dotted keys, named as in ``--set``."""
    tree = config.model_dump(mode="json", exclude_none=True)
    put_all(tree, settings)
    return validate(tree, where)


def validate(tree: Mapping[str, Any], where: str) -> RunConfig:
    """Return a RunConfig, or raise a one-line UserError with a suggestion."""
    refuse_unstorable(tree, where)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        dotted = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            if isinstance(first["input"], dict) and first["input"]:  # a key in a section that does not exist
                dotted += "." + str(next(iter(first["input"])))
            same = [key for key in known_keys() if key.rpartition(".")[2] == dotted.rpartition(".")[2]]
            hint = f"did you mean {same[0]!r}? " if same else did_you_mean(dotted, known_keys())
            raise UserError("setting-unknown", dotted=dotted, where=where, hint=hint) from None
        raise UserError(
            "setting-invalid", dotted=dotted, first=first["input"], where=where, first2=first["msg"]
        ) from None


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every plain value of nested settings by its dotted name."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return out


def known_keys() -> list[str]:
    """Return the dotted keys of all settings."""
    keys = []
    for name, field in RunConfig.model_fields.items():
        keys.append(name)
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += [f"{name}.{inner}" for inner in kind.model_fields]
    return keys
