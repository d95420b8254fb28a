"""`harness data pack` and `harness data verify`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from harness.runtime.terminal import tabulate
from zoo.errors import UserError
from zoo.files import reason_of
from zoo.text import visible


def pack(
    folder: Path, streams: str | None, out: Path | None, size: int, quality: int, crops: str, jobs: int | None
) -> None:
    """Pack what is not packed yet; raise UserError at the end if some files failed."""
    from harness.data.affwild2.folder_layout import survey
    from harness.data.packed.metadata import FOLDER
    from harness.data.preprocessing.pack_build import LEDGER, make_pack
    from harness.data.preprocessing.pack_plan import Settings, plan

    target = out or folder / FOLDER
    wanted = [stream.strip() for stream in streams.split(",")] if streams else None
    items = plan(folder, wanted, crops)
    _writable(target)
    for note in survey(folder).left_out_notes():
        print(visible(note))
    outcomes = make_pack(items, Settings(folder, target, size, quality), jobs=jobs)
    counts = Counter((one.stream, one.outcome) for one in outcomes)
    sizes = Counter[str]()
    for one in outcomes:
        sizes[one.stream] += one.bytes
    order = list(dict.fromkeys(one.stream for one in outcomes))
    rows = [
        (s, counts[s, "packed"], counts[s, "kept"], counts[s, "failed"], f"{sizes[s] / 1e6:,.1f}")
        for s in sorted(order)
    ]
    print(tabulate(rows, headers=("stream", "packed", "there already", "failed", "MB written")))
    failed = [one for one in outcomes if one.outcome == "failed"]
    for one in failed:
        print(visible(f"failed: {one.stream}/{one.name}: {one.reason}"), file=sys.stderr)
    if failed:
        raise UserError("pack-some-failed", count=len(failed), count2=len(outcomes), file=target / LEDGER)
    named = f" (other commands read it with --set data.pack={out})" if out else ""
    print(f"{target}: packed{named}; `harness data verify {folder}` checks it")


def verify(folder: Path, pack: Path | None, jobs: int | None, *, remove: bool) -> None:
    """Compare every file of a pack with its label; exit with code 1 if one is broken.

    With ``remove``, broken files are deleted.
    """
    from harness.data.packed.metadata import FOLDER
    from harness.data.preprocessing.pack_verify import verify_pack

    target = pack or folder / FOLDER
    files, findings = verify_pack(folder, target, jobs=jobs)
    for finding in findings:
        print(visible(str(finding)))
        if remove:
            finding.path.with_suffix(".json").unlink(missing_ok=True)
            finding.path.unlink(missing_ok=True)
    again = f"`harness data pack {folder}` makes them again"
    if findings and remove:
        print(f"taken out: {len(findings)}; {again}")
    elif findings:
        print(f"broken: {len(findings)} of {files}; `harness data verify {folder} --remove` takes them out, {again}")
    else:
        print(f"{target}: {files} files, all as they were packed")
    if findings:
        sys.exit(1)


def _writable(target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("out-not-makeable", target=target, strerror=reason_of(error)) from error
