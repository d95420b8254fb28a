"""`harness bench --seed-baseline`: all numbers of docs/performance.md; the baseline and this program in turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from harness.benchmarks import decoding, external_results, full_scale, packed, stages
from harness.benchmarks.measure import Rates, Work, interleaved, machine
from harness.benchmarks.tables import Row, against, markdown, most, page, write
from harness.benchmarks.versus_baseline import Sides
from harness.benchmarks.workload import cut, own_cache
from harness.config.schema import load_config
from harness.data.synthetic import make_demo
from harness.features.encoder_probe import choose_precision
from harness.features.frozen_encoder import frozen_slots
from harness.io.scratch import scratch
from harness.runs.job import make_job
from harness.runtime.device import pick_device

LONG = 1500  # frames of a video whose features are extracted
NO_GPU = (
    "No GPU was at hand: extraction and training on one, and how busy it is kept, are not measured. "
    "`harness bench --device cuda` tells them for yours, beside the bare model."
)


def seed_baseline(
    data: str | None, *, rounds: int, write_to: Path | None, include: Sequence[Path], json_file: Path | None
) -> list[Row]:
    """Measure and print; write into the page and the JSON file if they are given."""
    more = external_results.read(include)
    if write_to is not None:
        page(write_to)
    known = machine()
    with tqdm(desc="measuring", unit="piece", disable=None, leave=False) as bar, own_cache():

        def tick(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        rows = Sides(data, rounds, bool(known["bf16"]), tick).rows()
        rows += packed.rows(data, rounds, tick)
        rows += extraction_rows(data, rounds, tick)
        rows += [*full_scale.index_rows(tick), *full_scale.submission_rows(tick)]
    content = markdown([*rows, *more], known, [] if known["gpus"] else [NO_GPU])
    print(content)
    if write_to is not None:
        write(write_to, content)
    if json_file is not None:
        json_file.write_text(
            json.dumps({"machine": known, "rows": [asdict(r) for r in (*rows, *more)]}, indent=1) + "\n"
        )
    return [*rows, *more]


def extraction_rows(data: str | None, rounds: int, tick: Callable[[str], Any]) -> list[Row]:
    """Return rows on extraction of face and scene features into an empty cache.

    The rates are compared with those of the networks alone at the same batch size, read from the raw videos and from a
    pack of them. Without ``data``, synthetic videos of 1,500 frames are used: the demo set's videos have 120, so that
    opening them would take a larger share of the time than in videos of the competition.
    """
    with scratch("bench") as folder:
        if data is None:
            tick("making videos")
            data = str(folder / "long")
            make_demo(Path(data), videos=(1, 1, 1), frames=LONG, progress=False)
        pack = folder / "pack"
        pack.mkdir()
        packed.pack(packed.packed_job(data, "context", 112, pack), pack)
        rows = []
        for source, more in (("raw video", "none"), ("pack", pack)):
            got, size = _extraction(data, f"data.pack={more}", rounds, tick)
            what = f"extraction, lite0 on faces and scenes, from {source}"
            there, folded = "bare networks as they come, same batch", "bare networks with folded norms, same batch"
            rows.append(against(what, there, got["as they come"], got["extraction"], 0.9))
            rows.append(against("the same", folded, got["folded"], got["extraction"]))
    return [*rows, most("features of 1,280 numbers on disk", {"bytes a frame and slot": (size, None)})]


def _extraction(data: str | None, pack: str, rounds: int, tick: Callable[[str], Any]) -> tuple[dict[str, Rates], float]:
    """Return the rates of the whole extraction and of its networks alone, and bytes per frame and slot."""
    sets = ["encoder.face.size=112", "encoder.context.size=112", pack]
    job = cut(
        make_job(load_config("default", {"data_dir": data, "encoders": "face=lite0,context", "device": "cpu"}, sets)),
        videos=1,
        frames=LONG,
    )
    index = job.index
    decoding.check_packed(index, job.plan.slots, not pack.endswith("=none"))
    frozen = frozen_slots(job.plan.slots, job.config.features, pick_device("cpu"))
    choose_precision(index, frozen, building=True)
    ready = {slot.plan.name: decoding.chunks(index, slot, stages.CHUNKS) for slot in frozen}
    present = {slot.plan.name: decoding.share_present(index, slot) for slot in frozen}
    work: dict[str, Work] = {"extraction": lambda: decoding.extraction(index, frozen)}
    for name, folded in (("as they come", False), ("folded", True)):
        bare = {s.plan.name: decoding.BareNetwork(s, ready[s.plan.name], folded=folded) for s in frozen}
        work[name] = partial(decoding.one_after_the_other, bare, present)
    got = interleaved(work, rounds=rounds, tick=tick)
    return got, decoding.stored_bytes_per_frame(index) / len(frozen)
