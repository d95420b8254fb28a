"""Resolve ``--adapt`` to low-rank adapters of pretrained encoders (LoRA). No heavy imports.

The grammar of one text is ``BRANCH=METHOD[:OPTION=VALUE,OPTION=VALUE,...]``, such as ``face=lora:rank=8,alpha=16``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from zoo.api import Option
from zoo.errors import UserError
from zoo.layers.validation import at_least
from zoo.registry.options import check_options
from zoo.registry.suggestions import did_you_mean
from zoo.specs import Spec
from zoo.text import exact

AUTO, ALL, ATTENTION = "auto", "all", "attention"


class MethodSpec(Spec):
    """A way to adapt an encoder whose own weights stay as they are."""


LORA = MethodSpec(
    "lora",
    "zoo.model.lora:attach",
    "Products of two thin matrices, added to the weights of linear and dense convolution layers.",
    {
        "rank": Option(8, "rank of the products"),
        "alpha": Option(None, "the products are multiplied by alpha / rank; none: twice the rank", type=float),
        "dropout": Option(0.0, "dropout of an adapter's input"),
        "targets": Option(
            AUTO,
            "layers: all linear and dense convolution layers; attention: those in attention; a regular expression, "
            "found anywhere in a layer's name; auto: linear layers if the network has attention, else all",
        ),
        "rslora": Option(False, "multiply by alpha / sqrt(rank) (rank-stabilised LoRA, arXiv:2312.03732)"),
        "dora": Option(False, "learn the lengths of the weights' columns apart (DoRA, arXiv:2402.09353)"),
    },
    paper="Hu et al. 2022, arXiv:2106.09685",
)
METHODS = {LORA.name: LORA}


@dataclass(frozen=True)
class Lora:
    """The adapters of one encoder; the fields are the options of ``LORA``, with the defaults filled in."""

    rank: int
    alpha: float
    dropout: float
    targets: str
    rslora: bool
    dora: bool

    def __str__(self) -> str:
        """Return the text of ``--adapt`` after the branch."""
        flags = f"rslora={str(self.rslora).lower()},dora={str(self.dora).lower()}"
        numbers = f"rank={self.rank},alpha={exact(self.alpha)},dropout={exact(self.dropout)}"
        return f"{LORA.name}:{numbers},{flags},targets={self.targets}"


def plan_adapters(texts: Sequence[str], slots: Sequence[str], finetune: Iterable[str]) -> dict[str, Lora]:
    """Return the adapters of every branch that has some.

    Args:
        texts: Texts in the grammar of this module.
        slots: The input branches.
        finetune: Those whose encoders are trained whole.

    Raises:
        UserError: A text is invalid, its branch is unknown, named twice or in ``finetune``, or an option is wrong.
    """
    found: dict[str, Lora] = {}
    for text in texts:
        branch, _, chosen = (part.strip() for part in text.partition("="))
        method, colon, options = chosen.partition(":")
        if not branch or not method or (colon and not options):
            raise UserError("adapt-text-invalid", text=text)
        if branch not in slots:
            near = did_you_mean(branch, slots)
            raise UserError("adapt-unknown-slot", text=text, slot=branch, near=near, names=", ".join(slots))
        if branch in found:
            raise UserError("adapt-twice", slot=branch)
        if branch in finetune:
            raise UserError("adapt-and-finetune", slot=branch)
        if method not in METHODS:
            near = did_you_mean(method, METHODS)
            raise UserError("adapt-method-unknown", text=text, method=method, near=near, names=", ".join(METHODS))
        found[branch] = _lora(text, options)
    return found


def adapter_texts(adapters: Mapping[str, Lora | None]) -> tuple[str, ...]:
    """Return the texts that give these adapters, one for each branch that has some, for config.toml and the record."""
    return tuple(f"{slot}={lora}" for slot, lora in adapters.items() if lora is not None)


def _lora(text: str, options: str) -> Lora:
    given = {}
    for part in re.split(r",(?=\s*\w+=)", options) if options else ():  # a regular expression may have commas
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value or name in given:
            raise UserError("adapt-text-invalid", text=text)
        given[name] = value
    read = {name: _number(value) if name in ("rank", "alpha", "dropout") else value for name, value in given.items()}
    values = check_options(LORA, read)
    if values["alpha"] is None:
        values["alpha"] = 2.0 * values["rank"]
    lora = Lora(**values)
    at_least(f"--adapt {text}", 1, rank=lora.rank)
    if not 0 < lora.alpha < float("inf") or not 0 <= lora.dropout < 1:
        raise UserError("adapt-number", text=text, alpha=lora.alpha, dropout=lora.dropout)
    try:
        re.compile(lora.targets)
    except re.error as error:
        raise UserError("adapt-targets-invalid", text=text, targets=lora.targets, reason=error) from None
    return lora


def _number(text: str) -> int | float | str:
    """Return a number as ``--set`` reads it; the text itself if it is none."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
