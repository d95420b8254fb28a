"""`harness cache`: list, check and clean the feature cache."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from harness.features.cache import housekeeping
from harness.features.cache.entry import features_folder
from harness.runtime.terminal import tabulate
from zoo.errors import UserError
from zoo.text import visible

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def ls() -> None:
    """Print one row per stream, encoder and form."""
    groups = housekeeping.listing()
    rows = [
        (
            g.stream,
            g.encoder,
            g.form,
            g.entries,
            len(g.videos),
            f"{g.frames:,}",
            shown(g.bytes),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(g.used)),
        )
        for g in groups
    ]
    head = ["stream", "encoder", "computed, stored", "entries", "videos", "frames", "size", "last used"]
    if rows:
        print(tabulate(rows, head, tablefmt="simple", disable_numparse=True))
    total = sum(group.bytes for group in groups)
    print(f"{features_folder()}: {sum(g.entries for g in groups)} entries, {shown(total)}")


def verify() -> None:
    """Compare every entry with its checksums; exit with code 1 if one is damaged."""
    with tqdm(total=sum(1 for _ in housekeeping.entries()), unit="entry", disable=None, leave=False) as bar:
        count, bad = housekeeping.verify(bar.update)
    for entry, fault in bad:
        meta = entry.meta()
        what = f"{meta['video']}, {meta['stream']}={meta['encoder']}: " if meta else ""
        print(visible(f"damaged: {entry.folder}: {what}{fault}"))
    print(f"{count} entries, {len(bad)} damaged" + (": they are computed again when they are needed" if bad else ""))
    if bad:
        sys.exit(1)


def gc(days: float | None, size: str | None, keep: Sequence[Path] | None, dry: bool) -> None:
    """Remove what the options select, and print counts and bytes by reason."""
    most = None if size is None else parsed(size)
    gone, spared = housekeeping.garbage_collect(days=days, most=most, keep=keep or None, dry=dry)
    reasons = Counter(removal.reason.split(":")[0] for removal in gone)
    for reason, count in reasons.most_common():
        freed = sum(removal.bytes for removal in gone if removal.reason.split(":")[0] == reason)
        print(f"{count} x {reason}: {shown(freed)}")
    word = "would be removed" if dry else "removed"
    print(f"{len(gone)} {word}, {shown(sum(removal.bytes for removal in gone))}", end="")
    print(f"; {spared} more are in use and were kept" if spared else "")


def parsed(size: str) -> int:
    """Return the bytes of a text such as ``50GB``; raise UserError if it is not a size."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?B?)\s*", size, re.IGNORECASE)
    unit = found[2].upper() if found else "?"
    unit = unit if unit in ("", "?") or unit.endswith("B") else f"{unit}B"
    unit = "" if unit == "B" else unit
    if not found or unit not in UNITS:
        raise UserError("size-invalid", size=size)
    return round(float(found[1]) * UNITS[unit])


def shown(size: float) -> str:
    """Format bytes with a unit."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
