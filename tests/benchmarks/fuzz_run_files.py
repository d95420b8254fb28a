"""The readers of a run's own files, of settings, features and weights, for fuzz.py."""

from __future__ import annotations

import contextlib
import io
import json
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tests.benchmarks import fuzz_inputs as made
from tests.benchmarks.fuzz_seeds import USER, contents, rows_of, track_of
from tests.benchmarks.fuzz_worker import Target


def of_runs() -> dict[str, Callable[[str], Target]]:
    """Name -> what makes the target of that name."""
    return {**_records(), **_settings(), **_features(), **_weights(), **_runs()}


# --- records and settings ---------------------------------------------------------------------------------------------


def _records() -> dict[str, Callable[[str], Target]]:
    from leaderboards import tables
    from leaderboards.record import RecordError, digest, read
    from leaderboards.render.html import to_html

    folder = Path(__file__).resolve().parents[1] / "leaderboards" / "records" / "schema-1"
    seeds = contents(folder / f"{name}.json" for name in ("va", "failed", "interrupted", "folds", "fit"))
    keys = ("schema", "name", "status", "reason", "scores", "result", "result_sha256", "circumstances")

    def plain(name: str) -> Target:
        return Target(name, "record.json", seeds, made.documents(*keys), read, (RecordError,))

    def resealed(sound: Sequence[bytes], dice: random.Random) -> bytes:
        """A record whose result says something else, with the digest that belongs to it."""
        tree = json.loads(dice.choice(sound))
        for _ in range(dice.choice((1, 1, 2, 4))):
            tree = made.changed(tree, dice)
            tree = tree if isinstance(tree, dict) and isinstance(tree.get("result"), dict) else json.loads(sound[0])
        with contextlib.suppress(TypeError, ValueError, RecursionError):
            tree["result_sha256"] = digest(tree["result"])
        return json.dumps(tree).encode()

    def board(name: str) -> Target:
        def read_all(path: Path) -> object:
            records, problems = tables.load_runs(path.parents[1])
            made_of = tables.leaderboard(records)
            return tables.to_markdown(made_of, problems), tables.to_csv(made_of), to_html(made_of, problems)

        other = {"runs/other/record.json": seeds[0]}
        return Target(
            name, "runs/a/record.json", seeds, made.documents(*keys), read_all, (RecordError,), other, resealed
        )

    return {"record": plain, "leaderboard of a changed record": board}


def _settings() -> dict[str, Callable[[str], Target]]:
    from harness.config.recipe import RECIPES, about, read_toml
    from harness.config.schema import load_config, validate

    seeds = contents(RECIPES.glob("*.toml"))
    keys = (
        "encoders",
        "fusion",
        "head",
        "track",
        "seed",
        "loss",
        "train",
        "train.lr",
        "options",
        "folds",
        "about",
        "tracks",
        "tracks.va",
        "tracks.va.train",
        "about.summary",
        "about.published",
        "recipe",
    )

    def recipe(name: str) -> Target:
        def read(path: Path) -> object:
            config = load_config(str(path), {"track": "va", "head": "tcn", "encoders": "face"}, ["train.epochs=2"])
            said = config.toml()
            path.with_name("again.toml").write_text(said, encoding="utf-8")
            if validate(read_toml(path.with_name("again.toml")), "itself") != config:
                raise AssertionError("written and read again it is another")
            return config

        return Target(name, "recipe.toml", seeds, made.tomls(*keys), read, USER)

    def said(name: str) -> Target:
        return Target(name, "recipe.toml", seeds, made.tomls(*keys), lambda path: about(str(path)), USER)

    def config(name: str) -> Target:
        from harness.config.schema import RunConfig

        own = RunConfig(encoders="face,context", options={"head.hidden": 3}).toml().encode()
        return Target(
            name,
            "config.toml",
            (own,),
            made.tomls(*keys),
            lambda path: validate(read_toml(path), str(path)).toml(),
            USER,
        )

    return {"recipe": recipe, "recipe's about": said, "config": config}


# --- features, weights, files of a run --------------------------------------------------------------------------------


def _features() -> dict[str, Callable[[str], Target]]:
    from plugins.encoders._feature_files import read_array
    from plugins.encoders._feature_manifest import read_manifest

    text = b'name = "x"\nwidth = 4\nrate = "frame"\nfile = "sub/{video}.npy"\nsaw = ["AffectNet"]\n'
    timed = b'name = "x"\nwidth = 4\nrate = 25.0\nstart = 0.5\nkey = "features"\nmissing = "absent"\n'
    keys = (
        "name",
        "width",
        "rate",
        "start",
        "file",
        "key",
        "missing",
        "license",
        "source",
        "citation",
        "trained_on",
        "saw",
    )

    def manifest(name: str) -> Target:
        def read(path: Path) -> object:
            found = read_manifest(str(path.parent)).find("video104")
            if found is not None and not found.resolve().is_relative_to(path.parent.resolve()):
                raise AssertionError(f"features outside the folder: {found}")
            return found

        beside = {f"sub/video104{ending}": b"" for ending in (".npy", ".npz")}
        return Target(name, "features.toml", (text, timed), made.tomls(*keys), read, USER, beside)

    def array(name: str) -> Target:
        ending = name.split()[1]
        values = np.arange(12, dtype=np.float32).reshape(3, 4)
        buffer = io.BytesIO()
        if ending == ".npy":
            np.save(buffer, values)
        elif ending == ".npz":
            np.savez(buffer, features=values)
        elif ending == ".parquet":
            parquet.write_table(pa.table({str(i): values[:, i] for i in range(4)}), buffer)
        else:
            from safetensors.numpy import save

            buffer.write(save({"features": values}))
        kinds = {
            ".npy": made.arrays(),
            ".npz": made.arrays(),
            ".parquet": made.tables(["0", "1", "2", "3"]),
            ".safetensors": made.tensors(),
        }[ending]
        key = "features" if ending in (".npz", ".safetensors") else ""
        return Target(
            name, f"video104{ending}", (buffer.getvalue(),), kinds, lambda path: read_array(path, key, 4), USER
        )

    return {"features.toml": manifest, **{f"features {e}": array for e in (".npy", ".npz", ".parquet", ".safetensors")}}


def _weights() -> dict[str, Callable[[str], Target]]:
    import torch
    from safetensors.torch import save

    from harness.runs import provenance as guard
    from zoo.api import ModelCard
    from zoo.weights import loading as weights
    from zoo.weights.cards import describe, find

    state = {"a": torch.arange(6.0).reshape(2, 3), "features.b": torch.zeros(2, dtype=torch.int64)}
    seen = [{"edition": "abaw10", "track": "va", "data": "demo", "synthetic": True, "train": ["a"], "select": []}]

    def pickled(name: str, zipped: bool) -> Target:
        plain, network = io.BytesIO(), io.BytesIO()
        torch.save({"state_dict": state, "epoch": 3}, plain, _use_new_zipfile_serialization=zipped)
        torch.save(torch.nn.Linear(2, 2), network, _use_new_zipfile_serialization=zipped)
        seeds = (plain.getvalue(), network.getvalue())
        return Target(name, "net.pt", seeds, made.pickles(), weights.read, USER)

    def safe(name: str) -> Target:
        content = save(state, {"saw": json.dumps(seen), "format": "pt"})

        def read(path: Path) -> object:
            return (
                weights.read(path),
                guard.read_exposure(path),
                weights.convert(path, path.with_name("again.safetensors")),
            )

        return Target(name, "net.safetensors", (content,), made.tensors("saw", "notes"), read, USER)

    def ledger(name: str) -> Target:
        """The digest that was noted when a file was first used."""

        def read(path: Path) -> object:
            file = path.parent / "net.pt"
            passport = ModelCard("net", None, "", "", path=str(file))
            return describe(passport, find(passport, cache=path.parent / "cache", download=False))

        import hashlib

        known = hashlib.sha256(b"x").hexdigest().encode() + b"  net.pt\n"
        return Target(name, "net.pt.sha256", (known,), made.texts(), read, USER, {"net.pt": b"x"})

    return {
        "weights .pt": partial(pickled, zipped=True),
        "weights .pt of old torch": partial(pickled, zipped=False),
        "weights .safetensors": safe,
        "passport's digest": ledger,
    }


def _runs() -> dict[str, Callable[[str], Target]]:
    import torch
    from safetensors.torch import save

    from harness.evaluation.prediction_tables import read_predictions
    from harness.submissions import ledger
    from harness.training.checkpoint import load_state, load_weights

    def predictions(name: str) -> Target:
        track = track_of("expr", "abaw10")[1]
        buffer = io.BytesIO()
        more = {
            "group": ["g"] * 3,
            "time": [0.0, 0.1, 0.0],
            "expression_true": [1.0, float("nan"), 2.0],
            "present_face": [True, False, True],
            "extra_crop": [True] * 3,
            "extra_x#0": [0.5] * 3,
        }
        table = pa.table({**rows_of(track).to_pydict(), **more})
        parquet.write_table(table, buffer)
        return Target(
            name,
            "val.parquet",
            (buffer.getvalue(),),
            made.tables(table.column_names),
            lambda path: read_predictions(path, track),
            USER,
        )

    def state(name: str) -> Target:
        buffer = io.BytesIO()
        torch.save(
            {"epoch": 2, "model": {"a": torch.zeros(2)}, "random": torch.get_rng_state(), "history": [1.5]}, buffer
        )
        return Target(name, "state.ckpt", (buffer.getvalue(),), made.pickles(), load_state, USER)

    def kept(name: str) -> Target:
        content = save({"a": torch.zeros(2, 3)})
        return Target(name, "weights.safetensors", (content,), made.tensors(), load_weights, USER)

    def noted(name: str) -> Target:
        line = json.dumps({"edition": "abaw10", "track": "va", "sha256": "0" * 64, "time": "x", "list": None}).encode()

        def read(path: Path) -> object:
            good, bad = ledger.entries(path.parent)
            return ledger.used(good, "abaw10", "va"), bad

        keys = ("edition", "track", "sha256", "time", "run")
        return Target(name, ledger.NAME, (line + b"\n" + line + b"\n",), made.documents(*keys), read, USER)

    return {"predictions": predictions, "state.ckpt": state, "weights of a run": kept, "submissions.jsonl": noted}
