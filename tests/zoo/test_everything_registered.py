"""Every rule on every block that is registered, and how many that is: a suite that silently narrows is worse than none."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from tests.support.registered import EXTRAS, OUT_OF_PLACE, WITH_OTHER_OPTIONS, cases, other_cases
from zoo.api import KINDS
from zoo.registry import registry
from zoo.testing import Check, spec_checks

OTHERS: list[tuple[str, object, Check]] = [
    (kind, spec, check)
    for kind, spec, given in other_cases()
    for check in spec_checks(kind, spec, **given)
    if check.rule not in OUT_OF_PLACE.get((kind, spec.name), ())
]
INSTEAD = {(kind, spec.name, check.rule): check for kind, spec, check in OTHERS}
CHECKS: list[tuple[str, object, Check]] = [
    (kind, spec, INSTEAD[kind, spec.name, check.rule] if check.rule in elsewhere else check)
    for kind, spec, given in cases()
    for elsewhere in [WITH_OTHER_OPTIONS.get((kind, spec.name), ())]
    for check in spec_checks(kind, spec, **given)
]


def excused(kind, spec, rule: str) -> bool:
    """Whether a rule does not apply to a block, by what its spec declares."""
    if rule == "devices":
        return not torch.cuda.is_available()
    if kind == "encoders":
        hears = spec.kind == "sound"
        return {
            "padding": not hears,
            "clip_start": not hears,
            "times": not hears,
            "single_frames": hears,
            "no_numbers": hears and not spec.fixed,  # spectrograms have no form on the meta device
            "context_frames": True,  # no built-in encoder looks at frames around a clip
            "gradient": spec.fixed,
        }.get(rule, False)
    if kind == "augmentations":
        unseen = spec.kind == "sound" or not spec.coherent
        return {"points_follow": not spec.points, "coherent": unseen}.get(rule, False)
    if kind == "losses":
        return rule == "additive" and spec.name.startswith("ccc")
    return (
        kind in ("fusions", "heads")
        and spec.frame_wise
        and (rule == "learns" or (kind, rule) == ("fusions", "other_frames"))
    )


ASKED = Counter(kind for kind, spec, check in CHECKS if check.rule != "devices" and not excused(kind, spec, check.rule))

# Rules that apply, of all blocks of a kind, by the last count. One block more needs no change here; a rule or a block
# less fails until the number is lowered by hand, with a reason.
MINIMUM = {
    "streams": 24,
    "encoders": 111,
    "augmentations": 90,
    "fusions": 198,
    "heads": 116,
    "losses": 140,
    "postprocessors": 50,
    "detectors": 8,
    "loggers": 10,
    "editions": 160,
    "corpora": 18,
}


# Networks of ordinary size: what builds them anew for a rule is in the long suite, where timm's test networks and the
# spectrogram networks, which go the same way through the code, keep that rule in the short one.
LARGE = {"lite0", "hsemotion", "places365", "checkpoint"}
AT_ONCE = {"shape", "padding", "batch_mates", "other_frames", "no_slot"}
ANEW = {"repeatable", "saved", "gradient", "options", "precisions", "offline"}


def case(kind, spec, check, *, at_once=True):
    """One, in the long suite only where a network is trained for long or is large, or where it can wait."""
    large = kind == "encoders" and (spec.name == "vggish" or (spec.name in LARGE and check.rule in ANEW))
    long = large or check.rule == "learns" or not at_once
    marks = [pytest.mark.slow] * long + [pytest.mark.gpu] * (check.rule == "devices")
    return pytest.param(kind, spec, check, id=f"{kind}-{check}", marks=marks)


@pytest.mark.parametrize(("kind", "spec", "check"), [case(*each) for each in CHECKS])
def test_everything_keeps_every_rule(kind, spec, check):
    verdict = check.judge()
    if verdict.error is not None:
        raise verdict.error
    assert (verdict.state == "excused") == excused(kind, spec, check.rule), verdict.fault


# With other options a block has the same form: what a mask or the order of frames could spoil is tried at once.
@pytest.mark.parametrize(("kind", "spec", "check"), [case(*each, at_once=each[2].rule in AT_ONCE) for each in OTHERS])
def test_other_options_keep_every_rule(kind, spec, check):
    check()


@pytest.mark.parametrize("kind", KINDS)
def test_the_count_does_not_fall(kind):
    assert ASKED[kind] >= MINIMUM[kind]
    assert {spec.name for at, spec, _ in CHECKS if at == kind} >= {
        entry.name for entry in registry.load().entries(kind) if (kind, entry.name) not in EXTRAS
    }
    rules = Counter(check.rule for at, _, check in CHECKS if at == kind)
    assert min(rules.values()) == max(rules.values()), "a rule is not asked of every block"
