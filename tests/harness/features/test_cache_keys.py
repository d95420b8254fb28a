"""The cache key of features: each thing that they depend on changes it, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.config.schema import Features
from harness.features.cache import key as cache_key
from harness.features.frozen_encoder import FrozenSlot, PrecisionProbe
from tests.support.frozen import CPU, plans


class Reader:
    """A stream's reader on a video of some content."""

    def __init__(self, content: str = "content") -> None:
        self.content = content

    def fingerprint(self) -> str:
        return self.content


def slot(file: Path, text: str = "face=timm:resnet18", **settings: Any) -> FrozenSlot:
    (plan,) = plans(text)
    given = Features(**{"precision": "float32", "chunk": 16, **settings})
    return FrozenSlot(plan, given, CPU, file)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"one")
    return path


def other_plan(**changes: Any) -> Callable[[FrozenSlot], FrozenSlot]:
    return lambda slot: replace(slot, plan=replace(slot.plan, **changes))


def other_spec(part: str, **changes: Any) -> Callable[[FrozenSlot], FrozenSlot]:
    return lambda slot: replace(slot, plan=replace(slot.plan, **{part: replace(getattr(slot.plan, part), **changes)}))


def other_settings(**changes: Any) -> Callable[[FrozenSlot], FrozenSlot]:
    return lambda slot: replace(slot, settings=slot.settings.model_copy(update=changes))


CHANGES: dict[str, Callable[[FrozenSlot], FrozenSlot]] = {
    "precision": other_settings(precision="bf16"),
    "store": other_settings(store="float32"),
    "chunk": other_settings(chunk=32),
    "stream": other_spec("stream", name="body"),
    "stream's version": other_spec("stream", version=99),
    "encoder": other_spec("encoder", name="other"),
    "encoder's version": other_spec("encoder", version=99),
    "argument": other_spec("slot", argument="resnet34"),
    "options": other_plan(options={"some": 1}),
    "value of an option": other_plan(options={"some": 2}),
    "device": lambda slot: replace(slot, device=torch.device("cuda")),
    "no weights": lambda slot: replace(slot, file=None),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_part_of_the_key_changes_it(weights: Path, what: str) -> None:
    usual = slot(weights)
    assert CHANGES[what](usual).key(Reader()) != usual.key(Reader())


def test_all_keys_differ_from_each_other(weights: Path) -> None:
    keys = [change(slot(weights)).key(Reader()) for change in CHANGES.values()]
    assert len({*keys, slot(weights).key(Reader())}) == len(CHANGES) + 1


def test_the_source_and_the_content_of_the_weights_change_the_key(weights: Path, tmp_path: Path) -> None:
    usual = slot(weights).key(Reader())
    assert slot(weights).key(Reader("another video")) != usual
    other = tmp_path / "other.bin"
    other.write_bytes(b"two")
    assert slot(other).key(Reader()) != usual
    other.write_bytes(b"one")  # content decides, not the name
    same = tmp_path / "same.bin"
    same.write_bytes(b"one")
    assert slot(same).key(Reader()) == usual


def test_the_layout_of_chunks_changes_the_key(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = slot(weights).key(Reader())
    monkeypatch.setattr(cache_key, "LAYOUT", cache_key.LAYOUT + 1)
    assert slot(weights).key(Reader()) != usual


def test_what_features_do_not_depend_on_leaves_the_key(weights: Path) -> None:
    usual = slot(weights)
    (twin,) = plans("face.b=timm:resnet18")
    same = [
        replace(usual, plan=twin),
        replace(usual, limit=4),
        replace(usual, probe=PrecisionProbe(batch_invariant=True)),
        other_settings(tolerance=0.5)(usual),
        other_plan(options=dict(reversed(list(usual.plan.options.items()))))(usual),
    ]
    assert {one.key(Reader()) for one in same} == {usual.key(Reader())}
