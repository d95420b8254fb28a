"""The card inside a file of weights: what is written is read, and anything else is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.support.refusals import Part, refused
from zoo.weights.network_cards import KEY, NetworkCard, read_network_card

CARD = NetworkCard("resnet18", 64, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), ("a", "b"), ("valence", "arousal"), "tanh", ("x",))


def written(path: Path, text: str | None) -> Path:
    save_file({"a": torch.zeros(1)}, path, None if text is None else {KEY: text})
    return path


def test_a_card_is_read_as_it_was_written(tmp_path):
    file = written(tmp_path / "a.safetensors", CARD.metadata()[KEY])
    assert read_network_card(file) == CARD
    assert read_network_card(written(tmp_path / "b.safetensors", None)) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", 3),
        ("size", 0),
        ("size", "64"),
        ("size", True),
        ("mean", [0.5, 0.5]),
        ("mean", "abc"),
        ("mean", [0.5, None, 0.5]),
        ("mean", [0.5, 10**400, 0.5]),
        ("std", [0.2, 0.0, 0.2]),
        ("std", [0.2, float("nan"), 0.2]),
        ("classes", "ab"),
        ("classes", ["a", "a"]),
        ("values", ["dominance"]),
        ("squash", "sigmoid"),
        ("saw", [1]),
        ("license", None),
        ("pooling", "a field of a later version"),
    ],
)
def test_a_card_with_a_wrong_or_unknown_field_is_refused(tmp_path, field, value):
    said = {**json.loads(CARD.metadata()[KEY]), field: value}
    file = written(tmp_path / "a.safetensors", json.dumps(said))
    with refused("network-card-invalid", file=file, reason=Part(field)):
        read_network_card(file)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"model": "resnet18"}', "[" * 100_000])
def test_what_is_no_card_is_refused(tmp_path, text):
    with refused("network-card-invalid"):
        read_network_card(written(tmp_path / "a.safetensors", text))
