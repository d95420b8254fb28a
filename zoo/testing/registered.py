"""Conformance checks for a spec of any kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.api import KINDS
from zoo.errors import UserError
from zoo.registry.suggestions import did_you_mean
from zoo.testing.augmentations import augmentation_checks
from zoo.testing.corpora import corpus_checks
from zoo.testing.detectors import detector_checks
from zoo.testing.editions import edition_checks
from zoo.testing.encoders import encoder_checks
from zoo.testing.fusions import fusion_checks
from zoo.testing.heads import head_checks
from zoo.testing.loggers import logger_checks
from zoo.testing.losses import loss_checks
from zoo.testing.postprocessors import postprocessor_checks
from zoo.testing.rules import Check
from zoo.testing.streams import stream_checks

CHECKS: Mapping[str, Any] = {
    "streams": stream_checks,
    "encoders": encoder_checks,
    "augmentations": augmentation_checks,
    "fusions": fusion_checks,
    "heads": head_checks,
    "losses": loss_checks,
    "postprocessors": postprocessor_checks,
    "detectors": detector_checks,
    "loggers": logger_checks,
    "editions": edition_checks,
    "corpora": corpus_checks,
}


def spec_checks(kind: str, spec: Any, **given: Any) -> list[Check]:
    """Return every rule for a spec, one by one.

    Args:
        kind: One of zoo.api.KINDS.
        spec: A spec of this kind.
        **given: Arguments of the kind's own function (options, ``values``, an encoder's ``argument``, a fusion's
            ``permute``).

    Returns:
        The checks.

    Raises:
        UserError: The kind is unknown.

    Examples:
        >>> from zoo.api import HeadSpec
        >>> from zoo.testing import spec_checks
        >>> [check.rule for check in spec_checks("heads", HeadSpec("live", "my_head:Live"))][:3]
        ['offline', 'shape', 'single_frame']
    """
    if kind not in CHECKS:
        raise UserError("registry-kind-unknown", kind=kind, hint=did_you_mean(kind, KINDS), names=", ".join(KINDS))
    checks: list[Check] = CHECKS[kind](spec, **given)
    return checks
