import math

import pytest

from tests.support.refusals import Part, refused
from zoo.api import EncoderSpec, Option, PostSpec
from zoo.registry.registry import check_options

SPEC = EncoderSpec(
    "net",
    "nowhere:Net",
    options={
        "width": Option(16, "filters"),
        "rate": Option(0.5, "share"),
        "both": Option(False, "two directions"),
        "mode": Option("mean", "pooling", choices=("mean", "max")),
        "sizes": Option((3, 5), "kernels"),
        "names": Option((), "columns"),
        "limit": Option(None, "frames at most", type=int),
    },
)
DEFAULTS = {"width": 16, "rate": 0.5, "both": False, "mode": "mean", "sizes": (3, 5), "names": (), "limit": None}


def test_nothing_given_gives_the_defaults_in_the_order_of_the_spec():
    assert list(check_options(SPEC, {}).items()) == list(DEFAULTS.items())


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("width", "32", 32),
        ("width", 32, 32),
        ("rate", "0.25", 0.25),
        ("rate", 1, 1.0),
        ("rate", "1e-3", 0.001),
        ("rate", "inf", math.inf),
        ("both", "true", True),
        ("both", "False", False),
        ("both", True, True),
        ("mode", "max", "max"),
        ("sizes", "7, 9,11", (7, 9, 11)),
        ("sizes", [1], (1,)),
        ("sizes", "", ()),
        ("names", "a,b", ("a", "b")),
        ("names", ["a", 2], ("a", "2")),
        ("limit", "8", 8),
        ("limit", "none", None),
        ("limit", None, None),
    ],
)
def test_values_take_the_kind_of_the_option(name, given, value):
    options = check_options(SPEC, {name: given})
    assert options == {**DEFAULTS, name: value}
    assert type(options[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "refusal"),
    [
        (
            "width",
            "wide",
            refused(
                "option-type", what="option 'width' of encoder 'net'", kind="a whole number", value="wide", default=16
            ),
        ),
        ("width", "1.5", refused("option-type", kind="a whole number")),
        ("width", 2.0, refused("option-type", kind="a whole number")),
        ("width", True, refused("option-type", kind="a whole number")),
        ("width", None, refused("option-type", kind="a whole number")),
        ("rate", "fast", refused("option-type", kind="a number")),
        ("rate", "nan", refused("option-type", kind="a number")),
        ("both", "yes", refused("option-type", kind="true or false")),
        ("both", 1, refused("option-type", kind="true or false")),
        ("mode", True, refused("option-type", kind="text")),
        ("mode", "maxx", refused("option-choice", value="maxx", near=Part("'max'"), choices="mean, max")),
        ("sizes", "3,x", refused("option-type", kind="values separated by commas")),
        ("sizes", 3, refused("option-type", kind="values separated by commas")),
        (
            "widht",
            3,
            refused(
                "option-unknown",
                block="encoder 'net'",
                name="widht",
                near=Part("'width'"),
                known=Part("width, rate, both"),
            ),
        ),
    ],
)
def test_mistakes_are_named(name, given, refusal):
    with refusal:
        check_options(SPEC, {name: given})


def test_a_block_without_options_says_so():
    with refused("option-unknown", block="post 'clip'", name="low", known="none"):
        check_options(PostSpec("clip", "nowhere:Clip"), {"low": 1})


def test_an_older_name_works_with_one_warning():
    spec = EncoderSpec("net", "nowhere:Net", options={"trained_on": Option((), "data", formerly=("saw",))})
    with pytest.warns(UserWarning, match="option 'saw' of 'net' is now called 'trained_on'") as warned:
        assert check_options(spec, {"saw": ("AffectNet",)}) == {"trained_on": ("AffectNet",)}
    assert len(warned) == 1
