"""The gradient of a batch: of all its clips at once, or part by part in the memory of a part.

``sum`` and ``exact`` compute a batch in parts, and both give the gradient of the whole batch. This holds with dropout
too: a part draws the masks of the whole batch and takes its own rows, as each process does with its share of a batch
(zoo.parallel). ``sum`` adds up the gradients of the parts' losses, each weighted by its share of the labels; it is for
losses that are means over frames. ``exact`` is for all others, such as CCC (Gao et al. 2021, arXiv:2101.06983,
GradCache): the parts are encoded without a graph, the loss of the whole batch gives the gradient of their features, and
each part is encoded again to carry it on to the encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from harness.config.schema import Train
from harness.runtime.distributed import World
from zoo.model.mixup import Objective
from zoo.model.model import Batch, Model
from zoo.parallel import Share, part_of, sharing

Found = tuple[Tensor, dict[str, Tensor]]
"""The loss of a batch and its parts by name."""

Gradient = Callable[[Batch], Found]
"""A function that adds a batch's gradient to the parameters, and returns the loss and its parts by name."""


def objective_of(model: Model, settings: Train) -> nn.Module:
    """Return the module that computes what is differentiated, to be wrapped for several processes."""
    if settings.accumulate == 1:
        return Objective(model, settings.mixup)
    return PartFeatures(model) if settings.accumulation == "exact" else PartLoss(model)


def gradient_of(fabric: Any, objective: nn.Module, model: Model, settings: Train, world: World) -> Gradient:
    """Return the function that adds a batch's gradient to the parameters; ``objective`` is wrapped by ``fabric``."""
    if settings.accumulate == 1:
        return WholeGradient(fabric, objective, world)
    kind = ExactGradient if settings.accumulation == "exact" else SummedGradient
    return kind(fabric, objective, model, settings, world)


class PartFeatures(nn.Module):
    """Features of a part of a batch, multiplied by their gradient: a scalar with the features' part of the gradient."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, share: Share, gradient: dict[str, Tensor]) -> Tensor:
        """Return the sum of features times ``gradient`` (rows of the part, T, D) of each slot."""
        with sharing(share):
            features = self.model.features(batch)
        return torch.stack([(features[name] * gradient[name]).sum() for name in features]).sum()


class PartLoss(nn.Module):
    """The share of a part in the loss of a batch, for losses that add up."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, share: Share) -> Found:
        """Return the part's share of the loss, and of the loss's parts by name."""
        with sharing(share):
            out = self.model.fuse_rows(self.model.features(batch), batch.present, batch.valid)
        if not share.count:  # this process has no clip of the batch: the one that it computed counts nowhere
            return 0 * out.raw.float().sum(), {}
        return self.model.loss(out, batch, share.rows)


class WholeGradient:
    """The gradient of all clips of this process at once."""

    def __init__(self, fabric: Any, objective: nn.Module, world: World) -> None:
        self.fabric, self.objective, self.world = fabric, objective, world

    def __call__(self, batch: Batch) -> Found:
        """Add the batch's gradient to the parameters."""
        # The loss is that of the whole batch in every process. CCC is not a mean over clips, so each process computes
        # the predictions of its share, and these are gathered before the loss (zoo.parallel).
        loss, parts = self.objective(batch, self.world.share(len(batch.valid)))
        self.fabric.backward(loss)
        return loss, parts


class _ByParts:
    """The common base of both ways by parts."""

    def __init__(self, fabric: Any, objective: nn.Module, model: Model, settings: Train, world: World) -> None:
        self.fabric, self.objective, self.model, self.settings, self.world = fabric, objective, model, settings, world
        self.bare = objective_of(model, settings)

    def shares(self, batch: Batch) -> list[Share]:
        """Return this process's parts of a batch; parts without clips are left out, except for a single one."""
        rows, own = len(batch.valid), self.world.share(len(batch.valid))
        every = [part_of(own, rows, part, self.settings.accumulate) for part in range(self.settings.accumulate)]
        return [share for share in every if share.count] or every[:1]

    def of_part(self, last: bool) -> Any:
        """Return the wrapped objective for the last part, and the bare one for the others.

        The wrapper averages over the processes what has been added up, which must happen once.
        """
        return self.objective if last else self.bare


class SummedGradient(_ByParts):
    """The sum of the gradients of the parts' losses."""

    def __call__(self, batch: Batch) -> Found:
        """Add the batch's gradient to the parameters."""
        batch = self.model.drop(batch)
        begin, shares, found = RandomState(batch.valid.device), self.shares(batch), []
        own = self.world.share(len(batch.valid))
        for share in shares:
            begin.restore()
            with self.fabric.autocast():
                loss, parts = self.of_part(share is shares[-1])(rows_of(batch, share, own), share)
            # The wrapper takes the mean over processes of what must be added up.
            self.fabric.backward(loss * self.world.size)
            found.append({"": float(loss.detach()), **{name: float(value.detach()) for name, value in parts.items()}})
        total: dict[str, float] = {}
        for part in (part for some in self.world.all_gather(found) for part in some):
            for name, value in part.items():
                total[name] = total.get(name, 0.0) + value
        return torch.tensor(total.pop("")), {name: torch.tensor(value) for name, value in total.items()}


class ExactGradient(_ByParts):
    """The gradient through features that are computed part by part, twice."""

    def __call__(self, batch: Batch) -> Found:
        """Add the batch's gradient to the parameters."""
        share, leaves, kept = self.world.share(len(batch.valid)), {}, []

        def features(dropped: Batch) -> dict[str, Tensor]:
            begin = RandomState(dropped.valid.device)
            parts = [(part, rows_of(dropped, part, share)) for part in self.shares(dropped)]
            each = []
            with torch.no_grad():
                for part, clips in parts:
                    begin.restore()
                    with sharing(part):
                        each.append(self.model.features(clips))
            leaves.update({name: torch.cat([some[name] for some in each]).requires_grad_() for name in each[0]})
            kept.append((begin, parts))
            return leaves

        whole = Objective(self.model, self.settings.mixup, features)
        with self.fabric.autocast():
            loss, named = whole(batch, share)
        self.fabric.backward(loss)
        self._carry_on(leaves, *kept[0])
        return loss, named

    def _carry_on(self, leaves: dict[str, Tensor], begin: RandomState, parts: Sequence[tuple[Share, Batch]]) -> None:
        """Encode each part again, with its graph and the same random numbers, and go backward from its features."""
        first = 0
        for part, clips in parts:
            begin.restore()
            rows = slice(first, first + part.rows.stop - part.rows.start)
            first = rows.stop
            gradient = {name: _gradient(leaf)[rows] for name, leaf in leaves.items()}
            with self.fabric.autocast():
                product = self.of_part(part is parts[-1][0])(clips, part, gradient)
            self.fabric.backward(product)


class RandomState:
    """The state of torch's random numbers on the CPU and on a device."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.cpu = device, torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        """Draw again the numbers that were drawn since."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)


def rows_of(batch: Batch, share: Share, own: Share | None) -> Batch:
    """Return a batch with the features and inputs of a part of this process's clips; masks and labels are whole."""
    offset = own.rows.start if own is not None else 0
    rows = slice(share.rows.start - offset, share.rows.stop - offset)
    return replace(
        batch,
        features={slot: x[rows] for slot, x in batch.features.items()},
        inputs={slot: {name: x[rows] for name, x in given.items()} for slot, given in batch.inputs.items()},
    )


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
