"""Rules for fusions: features and masks of all slots -> predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.api import FusionSpec
from zoo.modules import DecisionFusion
from zoo.testing import numerics, toy_tasks
from zoo.testing.comparisons import (
    both_modes,
    expect_options_matter,
    expect_other,
    expect_same,
    expect_saved,
    expect_tensor,
    no_network,
    train_a_little,
)
from zoo.testing.fusion_case import (
    DIMS,
    LENGTHS,
    WIDTH,
    Clips,
    FusionCase,
    Permute,
    answer,
    call,
    example,
    permute_state,
)
from zoo.testing.rules import Check, checks_of, excuse, expect, run_all


def fusion_checks(
    spec: FusionSpec, *, values: Mapping[str, Any] | None = None, permute: Permute | None = None, **options: Any
) -> list[Check]:
    """Return every rule for a fusion, one by one.

    See ``head_checks`` for an example.

    Args:
        spec: The fusion's spec.
        values: Other values for the rule *options*.
        permute: Replaces ``permute_state`` if that does not fit the layout of the fusion's weights.
        **options: Options in place of the defaults.

    Returns:
        The checks.
    """
    leads = {"lead": list(DIMS)[1]} if "lead" in spec.options else {}
    return checks_of(spec.name, RULES, FusionCase(spec, options, {**leads, **(values or {})}, permute or permute_state))


def check_fusion(
    spec: FusionSpec, *, values: Mapping[str, Any] | None = None, permute: Permute | None = None, **options: Any
) -> None:
    """Run every rule for a fusion.

    See ``check_head`` for an example.

    Args:
        spec: The fusion's spec.
        values: See ``fusion_checks``.
        permute: See ``fusion_checks``.
        **options: Options in place of the defaults.

    Raises:
        ConformanceError: The first rule that is broken.
    """
    run_all(fusion_checks(spec, values=values, permute=permute, **options))


# --- rules ------------------------------------------------------------------------------------------------------------


def offline(case: FusionCase) -> None:
    """Check that building does not access the network.

    Machines that train often have none. Weights are found by the model card, which checks their digest.
    """
    with no_network():
        case.build()


def shape(case: FusionCase) -> None:
    """Check that raw is (B, T, K) and finite, per_slot likewise, aux are finite scalars, also at a second call.

    The loss is built for K outputs, and a number that is not finite ends the training.

    per_slot names existing slots only, and all of them if the spec declares it.
    """
    fusion, clips = case.build(), example()
    out = call(fusion, clips)
    expect_tensor(out.raw, (*clips.valid.shape, WIDTH), "raw")
    for slot, raw in out.per_slot.items():
        expect(slot in DIMS, f"per_slot names {slot!r}, which is no slot")
        expect_tensor(raw, tuple(out.raw.shape), f"per_slot[{slot!r}]")
    missing = [slot for slot in DIMS if slot not in out.per_slot]
    expect(not (case.spec.per_slot and missing), f"per_slot is declared, but {', '.join(missing)} has no answer of it")
    for name, loss in out.aux.items():
        expect_tensor(loss, (), f"aux[{name!r}]")
    expect_same(out.raw, answer(fusion, clips), "a second call in evaluation mode gives another answer")


def single_frame(case: FusionCase) -> None:
    """Check that clips of one frame work.

    A video, or the rest at its end, may be one frame long.
    """
    expect_tensor(answer(case.build(), example((1, 1))), (2, 1, WIDTH), "raw for T=1")


def one_slot(case: FusionCase) -> None:
    """Check that a single slot works and changes the prediction.

    The benefit of a stream is measured against fewer streams with the same fusion, down to one.
    """
    dims = {"audio": DIMS["audio"]}
    fusion, clips = case.build(dims), example(dims=dims)
    before = answer(fusion, clips)
    expect_tensor(before, (*clips.valid.shape, WIDTH), "raw for one slot")
    louder = Clips({"audio": clips.features["audio"] + 1}, clips.present, clips.valid)
    expect_other(before[clips.valid], answer(fusion, louder)[clips.valid], "the only slot does not change any answer")


def no_slot(case: FusionCase) -> None:
    """Check that a clip without any present slot gets finite predictions and gradients, and changes no other clip.

    A person turns away and is silent: such clips occur, and a softmax over nothing is NaN.
    """
    fusion, clips = case.build(), example()
    before = answer(fusion, clips)
    for mask in clips.present.values():
        mask[0] = False
    raw = call(fusion, clips).raw
    expect_tensor(raw, tuple(before.shape), "raw for a clip without any slot")
    expect_same(before[1:][clips.valid[1:]], raw[1:][clips.valid[1:]].detach(), "it changes another clip's answers")
    raw[clips.valid].square().sum().backward()
    for name, parameter in fusion.named_parameters():
        finite = parameter.grad is None or parameter.grad.isfinite().all()
        expect(finite, f"the gradient of {name} is not finite for a clip without any slot")


def slots(case: FusionCase) -> None:
    """Check that every slot, where it is present, changes a prediction.

    A fusion that ignores its second slot trains and scores as usual; nothing else reveals it.
    """
    fusion, clips = case.build(), example()
    before = answer(fusion, clips)
    for slot in DIMS:
        moved = Clips({**clips.features, slot: clips.features[slot] + 1}, clips.present, clips.valid)
        after = answer(fusion, moved)
        expect_other(before[clips.valid], after[clips.valid], f"the slot {slot!r} changes no answer")


def padding(case: FusionCase) -> None:
    """Check that values in the padding (features and masks), and the amount of padding, change no valid prediction.

    Clips of one batch have different lengths. If padding counts, a video's score depends on what it is batched
    with.
    """
    fusion, clips = case.build(), example()
    valid = clips.valid
    before = answer(fusion, clips)
    garbage = {slot: torch.where(valid.unsqueeze(-1), x, 100.0) for slot, x in clips.features.items()}
    after = answer(fusion, Clips(garbage, {s: m | ~valid for s, m in clips.present.items()}, valid))
    expect_same(before[valid], after[valid], "garbage in the padding changes an answer")
    longer = {slot: nn.functional.pad(x, (0, 0, 0, 4), value=3.0) for slot, x in clips.features.items()}
    masks = {slot: nn.functional.pad(mask, (0, 4)) for slot, mask in clips.present.items()}
    after = answer(fusion, Clips(longer, masks, nn.functional.pad(valid, (0, 4))))[:, : valid.shape[1]]
    expect_same(before[valid], after[valid], "more padding changes an answer")


def batch_mates(case: FusionCase) -> None:
    """Check that a clip gets the same predictions alone and in a batch.

    Otherwise scores change with the batch size, and nobody can reproduce them.
    """
    fusion, clips = case.build(), example()
    together = answer(fusion, clips)
    for i, length in enumerate(LENGTHS):

        def alone(x: Tensor, i: int = i, length: int = length) -> Tensor:
            return x[i : i + 1, :length]

        clip = Clips(
            {slot: alone(x) for slot, x in clips.features.items()},
            {slot: alone(mask) for slot, mask in clips.present.items()},
            alone(clips.valid),
        )
        expect_same(together[i, :length], answer(fusion, clip)[0], f"clip {i} is answered otherwise when it is alone")


def other_frames(case: FusionCase) -> None:
    """Check that with a temporal head a prediction depends on other frames (frame_wise fusions are excused).

    Otherwise `--head` has no effect, though the table names a head.
    """
    if case.spec.frame_wise:
        excuse("declared frame_wise")
    fusion, clips = case.build(), example((9,))
    moved = {slot: x.clone() for slot, x in clips.features.items()}
    for x in moved.values():
        x[:, :4] += 1
        x[:, 5:] -= 1
    before, after = answer(fusion, clips)[:, 4], answer(fusion, Clips(moved, clips.present, clips.valid))[:, 4]
    expect_other(before, after, "no answer depends on other frames: use build.head, or declare frame_wise")


def gradient(case: FusionCase) -> None:
    """Check that padding gets no gradient, and every slot's present frames a finite one.

    A slot without gradient is never learned; one number that is not finite makes all weights NaN.
    """
    fusion, clips = case.build(), example()
    for x in clips.features.values():
        x.requires_grad_()
    call(fusion, clips).raw[clips.valid].square().sum().backward()
    for slot, x in clips.features.items():
        assert x.grad is not None
        expect(x.grad.isfinite().all(), f"a gradient of the slot {slot!r} is not finite")
        expect(x.grad[~clips.valid].abs().sum() == 0, f"padding of the slot {slot!r} gets a gradient")
        got = x.grad[clips.valid & clips.present[slot]].abs().sum(-1) > 0
        expect(got.any(), f"no frame of the slot {slot!r} gets a gradient")


def named_slots(case: FusionCase) -> None:
    """Check that slots are identified by name, not by the order of the dicts that forward gets.

    The order is that of --encoders when the fusion is built; a batch may have another.
    """
    fusion, clips = case.build(), example()
    turned = Clips(dict(reversed(clips.features.items())), dict(reversed(clips.present.items())), clips.valid)
    expect_same(
        answer(fusion, clips),
        answer(fusion, turned),
        "the order of forward's dicts changes the answer: go through self.slots",
    )


def permuted(case: FusionCase) -> None:
    """Check that a fusion built with its slots and weights in another order gives the same predictions.

    `face,audio` and `audio,face` are one combination: no slot may be favoured for its position.

    If it has an option ``lead``, the leading slot is the same in both orders.
    """
    order = ("context", "face", "audio", "face.b")
    lead: dict[str, Any] = {"lead": "face"} if "lead" in case.spec.options else {}
    fusion, clips = case.build(**lead), example()
    other = case.build({slot: DIMS[slot] for slot in order}, seed=1, **lead)
    try:
        other.load_state_dict(case.permute(fusion, DIMS, order))
    except RuntimeError as error:
        expect(False, f"its weights cannot be reordered; give check_fusion a permute of your own ({error})")
    expect_same(
        answer(fusion, clips),
        answer(other, clips),
        "reordered slots with reordered weights give another answer; if its weights are laid out by slot in a way of "
        "its own, give check_fusion a permute",
    )


def options(case: FusionCase) -> None:
    """Check that every option makes a difference.

    An option without effect wastes the time of everyone who compares its values.
    """

    def outcome(**chosen: Any) -> list[Any]:
        fusion = case.build(**chosen)
        return [*both_modes(fusion, lambda module: call(module, example()).raw), *call(fusion, example()).aux.values()]

    expect_options_matter(case.spec, case.options, case.values, outcome)


def learns(case: FusionCase) -> None:
    """Check that it overfits 8 clips of a temporal XOR across two slots (frame_wise fusions are excused).

    Shapes and gradients can be right in a network that cannot learn: this is the minimum.

    No slot or frame solves the task alone. A DecisionFusion, which cannot multiply slots, gets the sum of two temporal
    XORs instead.
    """
    if case.spec.frame_wise:
        excuse("declared frame_wise")
    dims = {"face": DIMS["face"], "audio": DIMS["audio"]}
    streams = toy_tasks.bits()
    features = {slot: toy_tasks.embed_bits(stream, dims[slot]) for slot, stream in zip(dims, streams, strict=True)}
    mask = torch.ones(streams[0].shape, dtype=torch.bool)
    clips = Clips(features, dict.fromkeys(dims, mask), mask)
    fusion = case.fresh(dims=dims, width=1)
    target = toy_tasks.summed(*streams) if isinstance(fusion, DecisionFusion) else toy_tasks.crossed(*streams)
    toy_tasks.expect_learned(fusion, lambda: call(fusion, clips).raw.squeeze(-1), target)


def saved(case: FusionCase) -> None:
    """Check that a fresh fusion with the saved state of a trained one gives the same predictions.

    Evaluation, submission and resuming read the weights back from a file.
    """
    fusion, clips = case.build(), example()
    train_a_little(fusion, lambda: call(fusion, clips).raw[clips.valid].square().mean())
    expect_saved(fusion, case.build(seed=1), lambda module: answer(module, clips)[clips.valid])


RULES = (
    offline,
    shape,
    single_frame,
    one_slot,
    no_slot,
    slots,
    padding,
    batch_mates,
    other_frames,
    gradient,
    named_slots,
    permuted,
    options,
    learns,
    saved,
    *numerics.RULES,
)
