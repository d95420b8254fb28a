import pytest

from zoo.errors import UserError
from zoo.registry.slots import Slot, parse_slots


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("face", [Slot("face", "face", None, None)]),
        ("face,context", [Slot("face", "face"), Slot("context", "context")]),
        (" audio , face ", [Slot("audio", "audio"), Slot("face", "face")]),
        ("face=timm", [Slot("face", "face", "timm")]),
        ("face=timm:resnet18", [Slot("face", "face", "timm", "resnet18")]),
        ("face.b=timm:vit_s.dino", [Slot("face.b", "face", "timm", "vit_s.dino")]),
        ("face,face.b", [Slot("face", "face"), Slot("face.b", "face")]),
        # Only the first = and the first : separate; the rest is the argument's own.
        ("face=timm:hf-hub:a/b=c.d:1", [Slot("face", "face", "timm", "hf-hub:a/b=c.d:1")]),
        ("body_2=my-net", [Slot("body_2", "body_2", "my-net")]),
    ],
)
def test_slots_are_split_at_the_first_separators(text, expected):
    assert parse_slots(text) == expected


@pytest.mark.parametrize("text", ["face", "face.b=timm:a/b=c:d", "audio=melcnn"])
def test_a_slot_prints_as_it_was_written(text):
    (slot,) = parse_slots(text)
    assert str(slot) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no encoders are given"),
        ("  ", "no encoders are given"),
        ("face,", "an empty slot"),
        ("face,,audio", "an empty slot"),
        ("face,face", "'face' is given twice"),
        ("face=timm:a,face=timm:b", "face.b="),
        ("face.b,face.b=timm", "'face.b' is given twice"),
        ("=timm", "'' in '=timm' is not a slot"),
        ("face:resnet18", "'face:resnet18' in 'face:resnet18' is not a slot"),
        ("face.b.c", "is not a slot"),
        (".b", "is not a slot"),
        ("face.", "is not a slot"),
        ("2face", "is not a slot"),
        ("face context", "is not a slot"),
        ("face=", "'' in 'face=' is not an encoder's name"),
        ("face=:resnet18", "is not an encoder's name"),
        ("face=ti mm", "'ti mm' in 'face=ti mm' is not an encoder's name"),
        ("face=timm:", "nothing follows the colon"),
    ],
)
def test_mistakes_are_named(text, said):
    with pytest.raises(UserError) as error:
        parse_slots(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
