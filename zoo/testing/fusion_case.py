"""A fusion under test: its head, its synthetic clips, and its state with the slots in another order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo.api import FusionSpec
from zoo.losses import average_logits
from zoo.modules import Build, FusionOut, recur
from zoo.testing.comparisons import defaults, randomise_parameters
from zoo.testing.rules import construct, expect

# All these sizes differ, and their sum is not a usual width: the size of an axis identifies its meaning.
DIMS = {"face": 5, "face.b": 7, "context": 9, "audio": 13}
WIDTH = 6
LENGTHS = (9, 5, 7)

State = dict[str, Tensor]
Permute = Callable[[nn.Module, Mapping[str, int], tuple[str, ...]], State]


class ProbeHead(nn.Module):
    """A small bidirectional GRU: the head with which fusions are checked.

    Args:
        dim: Features per frame.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(dim, 11, batch_first=True, bidirectional=True)
        self.out_dim = 22

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Run the GRU.

        Args:
            x: (B, T, dim).
            valid: (B, T) bool.

        Returns:
            (B, T, 22).
        """
        return recur(self.rnn, x, valid)


@dataclass(frozen=True)
class Clips:
    """A batch of clips.

    Attributes:
        features: Slot -> (B, T, D).
        present: Slot -> (B, T) bool.
        valid: (B, T) bool.
    """

    features: dict[str, Tensor]
    present: dict[str, Tensor]
    valid: Tensor

    def one(self, i: int, length: int) -> Clips:
        """Return one clip without its padding.

        Args:
            i: Which clip.
            length: Its frames.

        Returns:
            A batch of this clip.
        """
        features = {slot: x[i : i + 1, :length] for slot, x in self.features.items()}
        present = {slot: x[i : i + 1, :length] for slot, x in self.present.items()}
        return Clips(features, present, self.valid[i : i + 1, :length])

    def seen(self) -> dict[str, Tensor]:
        """Return the features as a fusion gets them: a fixed vector where the slot is absent.

        Returns:
            Slot -> (B, T, D).
        """
        return {
            slot: torch.where(self.present[slot].unsqueeze(-1), x, torch.linspace(-1, 1, x.shape[-1]))
            for slot, x in self.features.items()
        }


@dataclass(frozen=True)
class FusionCase:
    """A fusion's spec with the options to check it with.

    Attributes:
        spec: The fusion's spec.
        options: Options in place of the defaults.
        values: Other values for the rule *options*.
        permute: See ``permute_state``.
    """

    spec: FusionSpec
    options: Mapping[str, Any]
    values: Mapping[str, Any]
    permute: Permute

    def build(self, dims: Mapping[str, int] = DIMS, seed: int = 0, width: int = WIDTH, **changed: Any) -> nn.Module:
        """Build the fusion in evaluation mode, with randomised parameters.

        Args:
            dims: Slot -> features per frame.
            seed: Seed of torch's generator.
            width: Number of raw outputs.
            **changed: Options in place of the case's.

        Returns:
            The fusion.
        """
        return randomise_parameters(self.fresh(seed, dims, width, **changed))

    def fresh(self, seed: int = 0, dims: Mapping[str, int] = DIMS, width: int = WIDTH, **changed: Any) -> nn.Module:
        """Build the fusion with its initial parameters.

        Args:
            seed: Seed of torch's generator.
            dims: Slot -> features per frame.
            width: Number of raw outputs.
            **changed: Options in place of the case's.

        Returns:
            The fusion.

        Raises:
            ConformanceError: It is not a torch module.
        """
        torch.manual_seed(seed)
        chosen = defaults(self.spec, {**self.options, **changed})
        tasks = (1, width - 1) if width > 1 else (width,)  # no size is that of another axis
        build = Build(ProbeHead, width, average=average_logits, tasks=tasks)
        fusion = construct(self.spec, dict(dims), build, **chosen)
        expect(isinstance(fusion, nn.Module), f"build gives a {type(fusion).__name__}, not a torch module")
        return fusion

    def arguments(self, block: nn.Module) -> tuple[Any, ...]:
        """Return features, present and valid.

        Args:
            block: The fusion.

        Returns:
            The arguments of forward.
        """
        clips = example()
        return clips.seen(), clips.present, clips.valid

    def outputs(self, block: nn.Module, *arguments: Any) -> list[Tensor]:
        """Return the raw predictions, those of the slots, and the auxiliary losses.

        Args:
            block: The fusion.
            *arguments: The arguments of forward.

        Returns:
            The tensors.
        """
        out = block(*arguments)
        expect(isinstance(out, FusionOut), f"forward gives a {type(out).__name__}, not a FusionOut")
        return [out.raw, *out.per_slot.values(), *out.aux.values()]


def example(
    lengths: tuple[int, ...] = LENGTHS, dims: Mapping[str, int] = DIMS, *, seed: int = 1, first: bool = True
) -> Clips:
    """Return synthetic clips, with noise also in the padding, in which each slot lacks about a quarter of the frames.

    Args:
        lengths: Frames of each clip.
        dims: Slot -> features per frame.
        seed: Seed of the features and of the masks.
        first: Keep all slots at the first frame of each clip.

    Returns:
        The clips.
    """
    generator = torch.Generator().manual_seed(seed)
    size = (len(lengths), max(lengths))
    features = {slot: torch.randn(*size, dim, generator=generator) for slot, dim in dims.items()}
    present = {slot: torch.rand(size, generator=generator) > 0.25 for slot in dims}
    for mask in present.values() if first else ():
        mask[:, 0] = True
    return Clips(features, present, torch.arange(size[1]) < torch.tensor(lengths).unsqueeze(1))


def call(fusion: nn.Module, clips: Clips) -> FusionOut:
    """Run a fusion on clips.

    Args:
        fusion: The fusion.
        clips: The clips.

    Returns:
        Its output.

    Raises:
        ConformanceError: The output is not a FusionOut.
    """
    out = fusion(clips.seen(), clips.present, clips.valid)
    expect(isinstance(out, FusionOut), f"forward gives a {type(out).__name__}, not a FusionOut")
    return out


@torch.no_grad()
def answer(fusion: nn.Module, clips: Clips) -> Tensor:
    """Return the raw predictions without a graph.

    Args:
        fusion: The fusion.
        clips: The clips.

    Returns:
        (B, T, K).
    """
    return call(fusion, clips).raw


def permute_state(fusion: nn.Module, dims: Mapping[str, int], order: tuple[str, ...]) -> State:
    """Return the state of the same fusion built with its slots in another order.

    The function supports the usual layouts of weights by slot: a ModuleList or ParameterList with one entry per slot, a
    first axis with one entry per slot, and an axis over the concatenated features of all slots.

    Args:
        fusion: The fusion.
        dims: Slot -> features per frame, in the fusion's order.
        order: The other order.

    Returns:
        The state_dict.
    """
    slots, total = tuple(dims), sum(dims.values())
    places = [slots.index(slot) for slot in order]
    starts = {slot: sum(list(dims.values())[:i]) for i, slot in enumerate(slots)}
    columns = torch.cat([torch.arange(starts[slot], starts[slot] + dims[slot]) for slot in order])
    lists = [
        name
        for name, part in fusion.named_modules()
        if isinstance(part, nn.ModuleList | nn.ParameterList) and len(part) == len(slots)
    ]
    old = fusion.state_dict()
    state = {}
    for key in old:
        value = old[_moved(key, lists, places)]
        for axis, size in enumerate(value.shape):
            if size == total:
                value = value.index_select(axis, columns)
        state[key] = value[places] if value.ndim and value.shape[0] == len(slots) else value
    return state


def _moved(key: str, lists: list[str], places: list[int]) -> str:
    """Return the key of the entry that takes the place of ``key`` after the slots are reordered."""
    for prefix in lists:
        if key.startswith(f"{prefix}."):
            index, dot, rest = key[len(prefix) + 1 :].partition(".")
            return f"{prefix}.{places[int(index)]}{dot}{rest}"
    return key
