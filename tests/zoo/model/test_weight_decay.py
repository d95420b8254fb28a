"""What weight decay pulls towards zero: every parameter of every block, in a list that is read when it changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import weight_norm as old_weight_norm
from torch.nn.utils.parametrizations import weight_norm

from zoo.api import Answer, Counts
from zoo.model.adapter import Adapter
from zoo.model.model import LossGroup, build_encoder
from zoo.model.weight_decay import decayed_names
from zoo.modules import Build
from zoo.registry.plan import make_plan
from zoo.registry.registry import load, resolve

GOLDEN = Path(__file__).with_name("golden") / "weight_decay.txt"
ANSWERS = (Answer("valence", "value", -5), Answer("expression", "class", -1, ("a", "b")), Answer("AU1", "binary", -1))
COUNTS = (Counts(9, (1,) * 20), Counts(9, (5, 4)), Counts(9, (6, 3)))
ENCODERS = ("face=timm:test_vit", "face=timm:test_resnet", "audio=melcnn", "audio=ssl:tiny", "audio=vggish")
OTHERS = {"transformer": {"positions": "relative"}, "conformer": {"positions": "relative"}}
"""Options with which a head has parameters that it lacks by default."""


def blocks() -> Iterator[tuple[str, nn.Module]]:
    """Every head, fusion (with a head of one layer) and group of losses; adapters; encoders of each built-in kind."""
    registry = load()
    mlp = resolve(registry.get("heads", "mlp").build)
    for name in registry.names("heads"):
        build = resolve(registry.get("heads", name).build)
        yield f"head {name}", build(6)
        if name in OTHERS:
            yield f"head {name} {OTHERS[name]}", build(6, **OTHERS[name])
    for name in registry.names("fusions"):
        fusion = registry.get("fusions", name)
        yield f"fusion {name}", resolve(fusion.build)({"face": 6, "audio": 5}, Build(mlp, 4))
    for name in registry.names("losses"):
        kinds = registry.get("losses", name).kinds  # type: ignore[attr-defined]
        answers = [(a, c) for a, c in zip(ANSWERS, COUNTS, strict=True) if a.kind in kinds]
        yield f"loss {name}", resolve(registry.get("losses", name).build)(*map(tuple, zip(*answers, strict=True)))
    plan = make_plan(registry, encoders="face", fusion="concat", head="mlp", answers=ANSWERS)
    yield "losses together", LossGroup(plan, COUNTS, uncertainty=True)
    for method in ("pca", "none", "raw"):
        yield f"adapter {method}", Adapter(6, method, 4, 3, 0.0, fitted=True)
    yield "adapter of a trained encoder", Adapter(6, "pca", 4, 3, 0.0, fitted=False)
    for encoders in ENCODERS:
        options = {f"encoder.{encoders.partition('=')[0]}.pretrained": False}
        plan = make_plan(registry, encoders=encoders, fusion="concat", head="mlp", answers=ANSWERS, options=options)
        with torch.device("meta"):
            yield f"encoder {encoders}", build_encoder(plan.slots[0])


def listed(name: str, block: nn.Module) -> str:
    """A block's trained parameters, a line each: numbered parts as one where all of them are treated alike."""
    decayed = decayed_names(block)
    names = [name for name, parameter in block.named_parameters() if parameter.requires_grad]
    plain = {n: re.sub(r"\.\d+\b", ".N", n) for n in names}
    mixed = {plain[n] for n in decayed} & {plain[n] for n in names if n not in decayed}
    shown = dict.fromkeys(
        f"    {'decayed' if n in decayed else 'left   '} {n if plain[n] in mixed else plain[n]}" for n in names
    )
    return "\n".join([name, *shown]) + "\n"


def test_every_decayed_and_undecayed_parameter_of_every_block_is_listed() -> None:
    now = "".join(listed(name, block) for name, block in blocks())
    if not GOLDEN.is_file() or GOLDEN.read_text(encoding="utf-8") != now:
        GOLDEN.parent.mkdir(exist_ok=True)
        changed = GOLDEN.with_suffix(".new")
        changed.write_text(now, encoding="utf-8")
        pytest.fail(f"the list has changed: look at {changed} and, if it is meant, let it take the place of {GOLDEN}")


class Declares(nn.Module):
    """A matrix, and one that is left alone by its module's own word."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.ones(2, 2))
        self.table = nn.Parameter(torch.ones(2, 2))
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)

    def no_weight_decay(self) -> set[str]:
        return {"table"}


def test_a_module_says_what_is_left_alone_wherever_it_stands() -> None:
    assert decayed_names(Declares()) == {"matrix"}
    assert decayed_names(nn.Sequential(nn.Linear(2, 2), nn.ModuleDict({"in": Declares()}))) == {
        "0.weight",
        "1.in.matrix",
    }


def test_a_vector_with_axes_of_one_is_no_matrix() -> None:
    """WavLM's constants of a head, (1, 12, 1, 1); the weight of a layer with one output is decayed."""
    net = nn.Linear(4, 1)
    net.register_parameter("gate", nn.Parameter(torch.ones(1, 12, 1, 1)))
    net.register_parameter("table", nn.Parameter(torch.ones(2, 12, 1)))
    assert decayed_names(net) == {"weight", "table"}


def test_gains_of_weight_normalisation_and_rows_of_embeddings_are_left_alone() -> None:
    net = nn.Sequential(weight_norm(nn.Conv1d(2, 3, 1)), nn.Embedding(4, 2))
    with pytest.warns(FutureWarning):
        net.append(old_weight_norm(nn.Linear(2, 2)))
    assert decayed_names(net) == {"0.parametrizations.weight.original1", "2.weight_v"}
