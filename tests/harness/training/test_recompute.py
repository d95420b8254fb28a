"""Gradient checkpointing: the same gradients with dropout and batch norms, with fewer activations kept."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from harness.config.schema import Train
from harness.training.recompute import checkpoint_gradients
from tests.support.two_processes import Case, batches, make_model
from zoo.api import FrameInput
from zoo.model.model import Batch, Model
from zoo.modules import FrameEncoder
from zoo.parallel import Share, share_dropout, sharing


class Deep(FrameEncoder):
    """Eight blocks with a batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__(8, FrameInput(4, (0.5,) * 3, (0.5,) * 3))
        self.stem = nn.Linear(48, 32)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(32, 32), nn.BatchNorm1d(32), nn.GELU(), nn.Dropout(0.3)) for _ in range(8)
        )
        self.last = nn.Linear(32, 8)

    def encode(self, images: Tensor) -> Tensor:
        x = self.stem(images.flatten(1))
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


def deep(head: str) -> tuple[Model, Batch]:
    case = Case(raw=True, head=head, fusion="late")
    net = make_model(case)
    torch.manual_seed(0)
    net.encoders["face"] = Deep()
    return net.train(), next(batches(case))


def learned(net: Model, batch: Batch, share: Share | None = None) -> tuple[dict[str, Tensor], int]:
    """Return the gradients and buffers after a step, and the bytes that its graph keeps."""
    kept = 0

    def keep(x: Tensor) -> Tensor:
        nonlocal kept
        kept += x.nbytes
        return x

    torch.manual_seed(5)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x), sharing(share):
        features = net.features(batch)
        raw = net.fuse_rows(features, batch.present, batch.valid).raw
    held = kept
    raw.square().sum().backward()
    found = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    return found | {name: b.clone() for name, b in net.named_buffers()}, held


@pytest.mark.parametrize("head", ["transformer", "gru", "tcn", "conformer"])
@pytest.mark.parametrize("kind", ["encoders", "all"])
def test_gradients_and_batch_statistics_are_those_without_it(head: str, kind: str) -> None:
    net, batch = deep(head)
    other = copy.deepcopy(net)
    checkpoint_gradients(other, Train(grad_checkpoint=kind))  # type: ignore[arg-type]
    assert list(other.state_dict()) == list(net.state_dict())
    (wanted, before), (found, after) = learned(net, batch), learned(other, batch)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-6)
    assert bool(wanted["encoders.face.blocks.0.1.running_mean"].any())
    assert int(found["encoders.face.blocks.0.1.num_batches_tracked"]) == 1
    assert after < before


def test_a_shared_batch_has_the_same_dropout_when_it_is_computed_again() -> None:
    """The second computation is outside of the context in which the rows of this process are known."""
    net, batch = deep("transformer")
    share_dropout(net)
    other = copy.deepcopy(net)
    checkpoint_gradients(other, Train(grad_checkpoint="all"))
    share = Share(1, (0, 0, 5, 9))
    batch.valid, batch.labelled = (torch.cat([x, x[:4]]) for x in (batch.valid, batch.labelled))
    batch.present = {slot: torch.cat([x, x[:4]]) for slot, x in batch.present.items()}
    wanted, found = learned(net, batch, share)[0], learned(other, batch, share)[0]
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-6)


def test_a_copy_computes_with_its_own_weights() -> None:
    """The average of the weights is a copy of the model, made after the blocks were changed."""
    net, batch = deep("gru")
    checkpoint_gradients(net, Train(grad_checkpoint="all"))
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin.encoders["face"].blocks[3][0].weight.zero_()
        assert not torch.equal(twin.eval()(batch).raw, net.eval()(batch).raw)


def test_nothing_changes_without_the_setting() -> None:
    net, _ = deep("gru")
    checkpoint_gradients(net, Train())
    assert not any("forward" in vars(part) for part in net.modules())
