"""Build the folder of the demo set atomically."""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from harness.data.synthetic.annotations import write_tables
from harness.data.synthetic.latents import SLOTS, draw_story
from harness.data.synthetic.oracle import ceilings
from harness.data.synthetic.recording import write_files
from harness.data.synthetic.standard import DEMO_VERSION
from harness.data.synthetic.video_plans import VideoPlan, plan_videos
from harness.io.locks import file_lock
from harness.runtime.machine import cores
from harness.runtime.progress import Bar
from zoo.errors import UserError
from zoo.files import part_name, reason_of

README = """\
This is the demo set of abaw-zoo: a SYNTHETIC data set, drawn by the program itself. No person was filmed.
It has the shape of Aff-Wild2 (folders, file names, annotation and test files), so that everything can be tried out.
Scores on it mean nothing about people, and are comparable with no published score.

demo.json   what it was made from: version, seed and arguments make the same bytes again
truth.json  the highest scores to be had: by track and combination of slots, what an oracle reaches that knows the
            equations and sees the slots' true copies; on the validation videos, pooled over labelled frames
videos/     faces are blank here: they are drawn in cropped_aligned/ only, so that no other stream sees them
boxes/      one row a frame: face and person box in pixels of the raw video, NaN where there is none
"""


def make(
    out: Path,
    *,
    seed: int,
    shares: Mapping[str, float],
    videos: tuple[int, int, int],
    frames: int,
    jobs: int | None,
    progress: bool,
) -> None:
    """Make the demo set; see `harness.data.synthetic.make_demo`."""
    full_shares = _checked_shares(shares)
    if seed < 0:
        raise UserError("demo-seed", seed=seed)
    plans = plan_videos(videos, frames)
    arguments = {
        "version": DEMO_VERSION,
        "seed": seed,
        "videos": list(videos),
        "frames": frames,
        "shares": full_shares,
    }
    if _is_there(out, arguments):
        return
    with file_lock(out.parent / f".{out.name}.lock"):
        if not _is_there(out, arguments):  # another process may have made it meanwhile
            _make(out, plans, arguments, jobs, progress)


def _make(
    out: Path, plans: Sequence[VideoPlan], arguments: Mapping[str, Any], jobs: int | None, progress: bool
) -> None:
    """Make the folder next to its place and rename it. Remove what a killed process left there."""
    seed, shares = arguments["seed"], arguments["shares"]
    for left in out.parent.glob(f"{glob.escape(f'.{out.name}.')}*.part"):
        shutil.rmtree(left, ignore_errors=True)
    part = part_name(out)
    try:
        part.mkdir()
        part.chmod(0o755)
        (part / "README.txt").write_text(README, encoding="utf-8", newline="\n")
        _write_json(part / "demo.json", arguments)
        for folder in ("videos", "cropped_aligned", "boxes", "openpose"):
            (part / folder).mkdir()
        stories = [draw_story(plan, seed, shares) for plan in plans]
        write_tables(part, stories, seed)
        with ThreadPoolExecutor(jobs or cores()) as pool:  # drawing and encoding release the interpreter's lock
            films = [pool.submit(write_files, part, story, seed) for story in stories]
            try:
                done = as_completed(films)
                for future in Bar(done, "demo set", len(films), unit="video", shown=progress, leave=True):
                    future.result()
            finally:  # after an error or Ctrl-C, do not start another video
                pool.shutdown(cancel_futures=True)
        _write_json(part / "truth.json", ceilings(plans, seed, shares))
        os.replace(part, out)
    except OSError as error:
        raise UserError("demo-not-writable", out=out, error=reason_of(error)) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _checked_shares(shares: Mapping[str, float]) -> dict[str, float]:
    for slot, share in shares.items():
        if slot not in SLOTS:
            raise UserError("demo-slot-unknown", slot=slot, names=", ".join(SLOTS))
        if not 0 <= share <= 1:
            raise UserError("demo-share", slot=slot, share=share)
    return {slot: float(shares.get(slot, 1.0)) for slot in SLOTS}


def _is_there(out: Path, arguments: Mapping[str, Any]) -> bool:
    """Return True if `out` is the requested set. Raise UserError if it is another one or holds other files."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = json.loads((out / "demo.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError("demo-not-a-demo", out=out) from None
    if found != arguments:
        raise UserError("demo-other-version", out=out)
    return True


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")
