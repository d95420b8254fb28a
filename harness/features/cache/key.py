"""The key of a cache entry: everything that the features of one video depend on, and nothing else.

If something is missing from the key, stale features are used for ever. If something is in the key without need,
everybody has to compute their features again.
"""

from __future__ import annotations

import json
from pathlib import Path

from harness.io.hashing import digest
from zoo.files import file_sha256
from zoo.registry.plan import SlotPlan

LAYOUT = 3  # raise it when chunks are cut differently, or networks computed differently

Identity = tuple[object, ...]


def encoder_identity(plan: SlotPlan, weights: Path | None, chunk: int, device: str) -> Identity:
    """Return everything that features depend on, except the video and the precision.

    ``chunk``: frames encoded at once, because a batch of another size rounds differently; ``device``: its type, because
    the same network gives other last digits on another kind of device. The options are complete, defaults included: if
    a default changes, so does the key.
    """
    # Versions stand for code, digests for data. Code is not hashed, because a refactoring would then invalidate every
    # cache; its author raises the version when the output changes.
    built_from = plan.passport.built_from if plan.passport else ""
    return (
        LAYOUT,
        plan.stream.name,
        plan.stream.version,  # raised when the reader gives other pixels or samples
        plan.encoder.name,
        plan.encoder.version,  # raised when the encoder computes differently
        plan.slot.argument,
        json.dumps(dict(plan.options), sort_keys=True, default=str),
        file_sha256(weights) if weights else None,
        chunk,
        device,
        *((f"built from {built_from}",) if built_from else ()),
        *(("scores",) if plan.scores else ()),  # the encoder's predictions are stored with its features
    )


def features_key(source: str, precision: str, store: str, identity: Identity) -> str:
    """Return the key of one video's features.

    ``source``: the reader's fingerprint, which covers the content of crops, boxes and sound and the version of their
    decoder; ``precision`` and ``store``: the types that the features are computed and stored in.
    """
    return digest("features", source, precision, store, *identity)
