"""Run folders: names, settings, contents."""

from __future__ import annotations

import re
from pathlib import Path

from harness.config.recipe import read_toml
from harness.config.schema import RunConfig, validate
from harness.runs.splits import split_name
from zoo.errors import UserError
from zoo.files import reason_of
from zoo.limits import check_plain


def has_folds(config: RunConfig) -> bool:
    """Return True if a run consists of all its folds, False if it is one of them or has none."""
    return config.folds > 0 and config.fold < 0


def saved_config(folder: Path) -> RunConfig:
    """Return the configuration of a run folder."""
    path = folder / "config.toml"
    if not path.is_file():
        raise UserError("run-not-a-run", folder=folder)
    return validate(read_toml(path), str(path))


def one_run(folder: Path) -> RunConfig:
    """Return the configuration of a run with weights of its own; raise UserError for several seeds or folds."""
    if (folder / "seeds").is_file():
        raise UserError("run-has-seeds", folder=folder, file=folder / "seed-0")
    config = saved_config(folder)
    if has_folds(config):
        raise UserError("run-has-folds", folder=folder, file=folder / "fold-0")
    return config


def default_name(config: RunConfig, seeds: int) -> str:
    """Return a folder name that describes the run."""
    what = ["zero-shot"] if config.zero_shot else [config.fusion, config.head, f"s{config.seed}"]
    what = ["trees", f"s{config.seed}"] if config.trees else what
    text = "-".join([config.track, config.encoders, *what])
    kind = f"-{split_name(config)}" if config.folds else "-fit" if config.fit else ""
    kind += f"-best{config.chosen.trials}" if config.chosen.trials else ""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "+", text)[:120] + kind + (f"x{seeds}" if seeds > 1 else "")


def check_name(out: Path, name: str | None) -> None:
    """Raise UserError if a run's name is invalid or taken, before anything is read or computed."""
    if name is None:
        return
    if not name or Path(name).name != name or name.startswith("."):
        raise UserError("run-name-invalid", name=name, out=out)
    check_plain(name)
    if (out / name).exists():
        raise UserError("run-name-taken", name=name, out=out, file=out / name)


def new_folder(out: Path, name: str | None, default: str) -> Path:
    """Create a run's folder: the user's name, which must be free, or the default name with the next free number."""
    check_name(out, name)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("out-no-folder", out=out, strerror=reason_of(error)) from None
    candidates = [name] if name is not None else [default] + [f"{default}-{i}" for i in range(2, 10_000)]
    for candidate in candidates:
        try:
            (out / candidate).mkdir()
        except FileExistsError:
            continue
        return out / candidate
    raise UserError("run-name-taken", name=name, out=out, file=out / str(name))
