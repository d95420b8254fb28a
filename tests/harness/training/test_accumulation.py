"""The gradient of a batch computed part by part, against that of the whole batch, with dropout."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from harness.config.schema import Train
from harness.runtime.distributed import single_process
from harness.training.accumulation import gradient_of, objective_of, rows_of
from tests.support.two_processes import Case, LocalFabric, batches, make_model
from zoo.model.model import Model
from zoo.parallel import Share, part_of, share_dropout, split

WORLD = single_process(torch.device("cpu"))
EXACT = {
    "ccc": Case(raw=True, fusion="late"),
    "absent": Case(raw=True, labels="none"),
    "moe": Case(raw=True, fusion="moe", track="mtl"),
    "mixup": Case(raw=True, fusion="late", track="mtl", mixup=0.4),
    "per-slot": Case(raw=True, track="mtl", options={"fusion.per_slot": 0.5}),
    "one-clip": Case(raw=True, clips=1),
}
SUMMED = {
    "expr": Case(raw=True, track="expr"),
    "au": Case(track="au", labels="none"),
    "kinds": Case(raw=True, track="au", fusion="late", options={"fusion.per_slot": 0.5}),
}


def gradients(case: Case, settings: Train) -> list[tuple[float, dict[str, Tensor]]]:
    """Return loss and gradients at some batches of a case, with unchanged weights."""
    net = make_model(case).train()
    share_dropout(net)
    compute = gradient_of(LocalFabric(), objective_of(net, settings), net, settings, WORLD)
    found = []
    for step, batch in enumerate(batches(case)):
        torch.manual_seed(step)
        net.zero_grad(set_to_none=True)
        loss, _ = compute(batch)
        found.append(
            (float(loss.detach()), {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None})
        )
    return found


def compare(case: Case, kind: str, parts: int) -> None:
    whole = gradients(case, Train(mixup=case.mixup))
    apart = gradients(case, Train(mixup=case.mixup, accumulate=parts, accumulation=kind))  # type: ignore[arg-type]
    largest = 0.0
    for (loss, wanted), (other, found) in zip(whole, apart, strict=True):
        assert other == pytest.approx(loss, rel=1e-5, abs=1e-6)
        for name, gradient in wanted.items():
            torch.testing.assert_close(found.get(name, torch.zeros_like(gradient)), gradient, rtol=1e-5, atol=1e-6)
            largest = max(largest, float(gradient.abs().max()))
    assert largest > 0.01, "nothing was compared"


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("parts", [2, 3, 9])
def test_exact_accumulation_has_the_gradient_of_the_whole_batch(name: str, parts: int) -> None:
    compare(EXACT[name], "exact", parts)


@pytest.mark.parametrize("name", SUMMED)
@pytest.mark.parametrize("parts", [2, 3, 9])
def test_so_has_the_sum_for_losses_that_add_up(name: str, parts: int) -> None:
    compare(SUMMED[name], "sum", parts)


def test_learned_weights_of_losses_get_the_same_gradient() -> None:
    """Those of expressions and action units, of which every part has other numbers of labels."""
    case = Case(raw=True, track="mtl", losses=("ce", "bce"))
    net = make_model(case)
    assert net.losses.log_variance is not None
    compare(case, "exact", 3)


def test_the_sum_of_a_loss_that_does_not_add_up_is_another_gradient() -> None:
    """Why the settings are refused: CCC of parts is not CCC of the batch."""
    with pytest.raises(AssertionError):
        compare(Case(raw=True), "sum", 3)


def peak(case: Case, settings: Train, clips: int) -> int:
    """Return the most bytes that graphs hold at once for the backward pass, outside of parameters."""
    net: Model = make_model(case).train()
    net.encoders["face"].net = nn.Sequential(nn.Flatten(), nn.Linear(48, 512), nn.GELU(), nn.Linear(512, 8))
    share_dropout(net)
    batch = next(batches(replace(case, clips=clips)))
    weights = {p.data_ptr() for p in net.parameters()}
    compute = gradient_of(LocalFabric(), objective_of(net, settings), net, settings, WORLD)
    held, most = 0, 0

    class Kept:
        def __init__(self, x: Tensor) -> None:
            nonlocal held, most
            self.x, self.size = x, 0 if x.untyped_storage().data_ptr() in weights else x.nbytes
            held += self.size
            most = max(most, held)

        def __del__(self) -> None:
            nonlocal held
            held -= self.size

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.x):
        compute(batch)
    return most


def test_an_encoder_holds_the_activations_of_a_part() -> None:
    """Five clips one by one, of a network whose encoder has most of the activations."""
    case = Case(raw=True, head="mlp")
    whole, parts = (peak(case, Train(accumulate=n, accumulation="exact"), 5) for n in (1, 5))
    assert parts < 0.5 * whole


def test_parts_of_a_share_cover_it_in_order() -> None:
    for own, rows in ((None, 7), (split(7, 1, 2), 7), (split(1, 0, 2), 1)):
        first, last = (0, rows) if own is None else (own.bounds[own.rank], own.bounds[own.rank + 1])
        parts = [part_of(own, rows, part, 3) for part in range(3)]
        assert [row for part in parts if part.count for row in range(rows)[part.rows]] == list(range(first, last))
        assert all(part.bounds[-1] == rows for part in parts)


def test_rows_of_a_part_are_counted_from_the_process_s_first_clip() -> None:
    batch = next(batches(Case()))
    own = Share(1, (0, 2, 5))
    part = part_of(own, 5, 1, 2)
    local = replace(batch, features={slot: x[own.rows] for slot, x in batch.features.items()})
    cut = rows_of(local, part, own)
    assert torch.equal(cut.features["face"], batch.features["face"][3:5])
    assert torch.equal(cut.labelled, batch.labelled)
