"""Rules for encoders: a slot's input -> features (B, T, dim)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from zoo.api import AudioInput, EncoderSpec, FrameInput
from zoo.errors import first_line
from zoo.testing import numerics
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
from zoo.testing.encoder_case import BATCH, FRAMES, RATE, EncoderCase, answer, example
from zoo.testing.rules import Check, checks_of, describe, excuse, expect, run_all


def encoder_checks(
    spec: EncoderSpec,
    stream: str | None = None,
    argument: str | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    **options: Any,
) -> list[Check]:
    """Return every rule for an encoder, one by one.

    See ``head_checks`` for an example.

    Args:
        spec: The encoder's spec.
        stream: The stream; None: the first that the spec names.
        argument: The encoder's argument.
        values: Other values for the rule *options*.
        **options: Options in place of the defaults.

    Returns:
        The checks.
    """
    stream = stream or (spec.streams[0] if spec.streams else "face")
    name = spec.name if argument is None else f"{spec.name}:{argument}"
    return checks_of(name, RULES, EncoderCase(spec, stream, argument, options, values or {}))


def check_encoder(
    spec: EncoderSpec,
    stream: str | None = None,
    argument: str | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Run every rule for an encoder.

    See ``check_head`` for an example.

    Args:
        spec: The encoder's spec.
        stream: See ``encoder_checks``.
        argument: The encoder's argument.
        values: Other values for the rule *options*.
        **options: Options in place of the defaults.

    Raises:
        ConformanceError: The first rule that is broken.
    """
    run_all(encoder_checks(spec, stream, argument, values=values, **options))


# --- rules for every encoder ------------------------------------------------------------------------------------------


def offline(case: EncoderCase) -> None:
    """Check that neither building nor the model card accesses the network.

    Machines that train often have none. Weights are found by the model card, which checks their digest.
    """
    with no_network():
        case.build()
        case.passport()


def shape(case: EncoderCase) -> None:
    """Check that features are (B, T, dim) as declared, finite, the same at a second call, and also work for T=1.

    The model is built with dim before any feature exists, and features of frozen encoders are computed once and cached.
    """
    encoder = case.encoder
    expect(isinstance(encoder.dim, int), f"dim must be an int, it is {encoder.dim!r}")
    inputs = example(encoder)
    features = answer(encoder, inputs)
    expect_tensor(features, (BATCH, FRAMES, encoder.dim), "the features")
    expect_same(features, answer(encoder, inputs), "a second call in evaluation mode gives other features")
    expect_tensor(answer(encoder, example(encoder, 1, 1)), (1, 1, encoder.dim), "the features for T=1")


def reacts(case: EncoderCase) -> None:
    """Check that another input gives other features.

    An encoder that ignores its input still trains, and scores like a constant.
    """
    encoder = case.encoder
    inputs = example(encoder)
    name = next(iter(inputs))
    moved = {**inputs, name: inputs[name].flip(-1)}
    expect_other(answer(encoder, inputs), answer(encoder, moved), f"the features do not depend on {name}")


def batch_mates(case: EncoderCase) -> None:
    """Check that a clip's features do not depend on the other clips.

    Features are cached by video. Statistics over a batch make them depend on the videos computed with them.
    """
    encoder = case.encoder
    inputs = example(encoder)
    together = answer(encoder, inputs)
    for i in range(BATCH):
        alone = answer(encoder, {name: x[i : i + 1] for name, x in inputs.items()})
        expect_same(together[i], alone[0], f"clip {i} has other features when it is alone")


def single_frames(case: EncoderCase) -> None:
    """Check that without context frames a frame's features depend on that frame only (frames and vectors).

    Such an encoder gets the present frames of many videos together; absent frames are left out.
    """
    encoder = case.encoder
    declared = encoder.input
    if isinstance(declared, AudioInput) or (isinstance(declared, FrameInput) and declared.context):
        excuse("it hears or sees more than one frame, as it declares")
    inputs = example(encoder)
    name = next(iter(inputs))
    moved = inputs[name].clone()
    moved[:, 1:] = moved[:, 1:].flip(-1) + (1 if moved.is_floating_point() else 0)  # tokens stay in the vocabulary
    before, after = answer(encoder, inputs), answer(encoder, {name: moved})
    expect_same(before[:, 0], after[:, 0], "a frame's features depend on other frames: declare context")


def gradient(case: EncoderCase) -> None:
    """Check that some parameter gets a gradient, and that all gradients are finite.

    `--finetune` continues its training. If the graph is cut inside it, the weights silently stay unchanged.
    """
    encoder = case.build()
    parameters = list(encoder.parameters())
    if not parameters:
        excuse("it has no parameters")
    encoder(*example(encoder).values()).square().mean().backward()
    grads = [p.grad for p in parameters if p.grad is not None]
    expect(any(g.abs().sum() > 0 for g in grads), "no parameter gets a gradient")
    expect(all(g.isfinite().all() for g in grads), "a gradient is not finite")


def options(case: EncoderCase) -> None:
    """Check that every option changes the features, the declared input or the model card.

    An option without effect wastes the time of everyone who compares its values.
    """

    def outcome(**chosen: Any) -> list[Any]:
        encoder = case.build(**chosen)
        inputs = example(encoder, 1, 2)
        known = case.passport(**chosen)
        plain = replace(known, adapt=None) if known else None
        return [encoder.dim, encoder.input, plain, *both_modes(encoder, lambda module: module(*inputs.values()))]

    expect_options_matter(case.spec, case.options, case.values, outcome)


def saved(case: EncoderCase) -> None:
    """Check that a fresh encoder with the saved state of a trained one gives the same features.

    Evaluation, submission and resuming read the weights back from a file.
    """
    encoder = case.build()
    inputs = example(encoder)
    train_a_little(encoder, lambda: encoder(*inputs.values()).square().mean(), steps=1)
    expect_saved(encoder, case.build(seed=1), lambda module: answer(module, inputs))  # type: ignore[arg-type]


# --- rules for image encoders with context, and for audio encoders ----------------------------------------------------


def context_frames(case: EncoderCase) -> None:
    """Check, for an encoder with context frames, that images of absent frames do not matter.

    They are black or left over, and not images of the person.
    """
    encoder = case.encoder
    if not isinstance(encoder.input, FrameInput) or not encoder.input.context:
        excuse("it declares no context frames")
    inputs = example(encoder)
    inputs["present"][:, 0] = False
    garbage = inputs["frames"].clone()
    garbage[:, 0] = 100.0
    before, after = answer(encoder, inputs), answer(encoder, {**inputs, "frames": garbage})
    expect_same(before, after, "the picture of an absent frame changes the features")


def padding(case: EncoderCase) -> None:
    """Check that invalid samples do not matter, nor their number.

    Clips of one batch have sound of different lengths; the shorter ones are padded.
    """
    encoder = case.encoder
    if not isinstance(encoder.input, AudioInput):
        excuse("it does not hear")
    inputs = example(encoder)
    end = int(float(inputs["times"][0, 1]) * encoder.input.rate)  # cut the sound at the second frame
    inputs["samples_valid"][0, end:] = False
    before = answer(encoder, inputs)
    garbage = torch.where(inputs["samples_valid"], inputs["samples"], 1.0)
    expect_same(before, answer(encoder, {**inputs, "samples": garbage}), "samples that are not valid matter")
    for extra in (1, encoder.input.rate // 10, encoder.input.rate):
        longer = {**inputs, **{n: torch.nn.functional.pad(inputs[n], (0, extra)) for n in ("samples", "samples_valid")}}
        expect_same(before, answer(encoder, longer), f"{extra} samples more of padding change the features")


def clip_start(case: EncoderCase) -> None:
    """Check that a frame's features do not depend on the clip's start on the grid, given the declared margin.

    Training cuts clips at any frame. A frame must have the same features in each of them as in the whole video.
    """
    encoder = case.encoder
    declared = encoder.input
    if not isinstance(declared, AudioInput):
        excuse("it does not hear")
    step = declared.grid * max(1, round(declared.rate / RATE / declared.grid))  # samples, about one frame
    whole = example(encoder, 1, max(20, 4 + -(-11 * step * RATE // declared.rate)))  # four frames after the last start
    features = answer(encoder, whole)
    for start in (step, 7 * step, 11 * step):
        times = whole["times"] - start / declared.rate
        kept = (times[0] >= declared.margin).nonzero().squeeze(1)[:4]
        end = int((float(times[0, kept[-1]]) + declared.margin) * declared.rate) + 1
        part = {
            "samples": whole["samples"][:, start : start + end],
            "samples_valid": whole["samples_valid"][:, start : start + end],
            "times": times[:, kept],
        }
        expect_same(
            features[:, kept],
            answer(encoder, part),
            f"a clip that starts {start} samples later has other features: raise margin, or the grid",
        )


def times(case: EncoderCase) -> None:
    """Check that the features depend on the frames' times, and are finite at a time outside the sound.

    Videos have varying frame rates and sound that starts late: frame / fps drifts by seconds.
    """
    encoder = case.encoder
    if not isinstance(encoder.input, AudioInput):
        excuse("it does not hear")
    inputs = example(encoder)
    later = {**inputs, "times": inputs["times"] + 0.05}
    expect_other(answer(encoder, inputs), answer(encoder, later), "the features do not depend on the frames' times")
    for shift in (-10.0, 10.0):
        outside = answer(encoder, {**inputs, "times": inputs["times"] + shift})
        fault = f"times {shift:+} s away, outside the sound, give features that are not finite"
        expect(outside.isfinite().all(), fault, describe(outside))


def no_numbers(case: EncoderCase) -> None:
    """Check that it gives the declared shape on the meta device, or raises as torch does if that is not possible.

    `harness check`, and every run before it trains, tries the combination there. An encoder that cannot run there is
    run with real tensors, which is slower.
    """
    declared = case.encoder
    inputs = example(declared)
    try:
        with torch.device("meta"):
            encoder = case.fresh().eval()
        features = answer(encoder, {name: x.to("meta") for name, x in inputs.items()})
    except (NotImplementedError, RuntimeError) as error:
        excuse(f"it has no form without numbers: {first_line(error)}")
    expect_tensor(features, (BATCH, FRAMES, declared.dim), "the features on the meta device")


RULES = (
    offline,
    shape,
    reacts,
    batch_mates,
    single_frames,
    gradient,
    options,
    saved,
    context_frames,
    padding,
    clip_start,
    times,
    numerics.repeatable,
    numerics.precisions,
    no_numbers,
    numerics.devices,
)
