"""The key of a cache entry: everything that the features of one video depend on, and nothing else.

Whatever is left out here would serve stale features for ever; whatever is put in without need makes everybody compute
theirs again.
"""

from __future__ import annotations

import json
from pathlib import Path

from harness.io.hashing import digest
from zoo.files import file_sha256
from zoo.registry.plan import SlotPlan

LAYOUT = 3  # raise when chunks are cut, or networks computed, otherwise

Identity = tuple[object, ...]


def encoder_identity(plan: SlotPlan, weights: Path | None, chunk: int, device: str) -> Identity:
    """All that features depend on besides the video and the precision.

    ``chunk``: frames encoded at once, since batches of other sizes round otherwise; ``device``: its type, since the
    same network gives other last digits on another kind of device. Options are those in full, defaults included: a
    default that changes is another key.
    """
    return (
        LAYOUT,
        plan.stream.name,
        plan.stream.version,  # raised when a reader gives other pixels or samples
        plan.encoder.name,
        plan.encoder.version,  # raised when an encoder computes otherwise
        plan.slot.argument,
        json.dumps(dict(plan.options), sort_keys=True, default=str),
        file_sha256(weights) if weights else None,
        chunk,
        device,
        *(("scores",) if plan.scores else ()),  # what it predicts stands beside its features
    )


def features_key(source: str, precision: str, store: str, identity: Identity) -> str:
    """The key of one video's features. ``source``: the reader's fingerprint, which covers the content of crops, boxes
    and sound and the version of what decoded them; ``precision`` and ``store``: what they were computed and kept in."""
    return digest("features", source, precision, store, *identity)
