"""Compare the names of classes in corpora, models and tracks."""

from __future__ import annotations

NAMES = {
    "anger": ("angry", "anger"),
    "contempt": ("contempt", "contemptuous"),
    "disgust": ("disgust", "disgusted"),
    "fear": ("fear", "fearful", "afraid", "scared"),
    "happiness": ("happiness", "happy", "joy"),
    "neutral": ("neutral", "neutrality"),
    "sadness": ("sadness", "sad"),
    "surprise": ("surprise", "surprised"),
    "other": ("other",),
}
"""Expression -> its spellings in corpora and models; other names are compared as they are."""

_KNOWN = {way: name for name, ways in NAMES.items() for way in ways}


def plain(name: str) -> str:
    """Return the canonical name of a class, for comparison: ``angry`` and ``Anger`` are the same."""
    lower = name.strip().lower()
    return _KNOWN.get(lower, lower)
