"""The readers that fuzz.py puts its inputs before: every file that a user, an organiser or a killed process can spoil."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from tests.benchmarks import fuzz_inputs as made
from tests.benchmarks.fuzz_kept import of_kept
from tests.benchmarks.fuzz_run_files import of_runs
from tests.benchmarks.fuzz_seeds import USER, contents, rows_of, track_of
from tests.benchmarks.fuzz_worker import Target
from zoo.errors import UserError
from zoo.tracks import EditionSpec

REAL = Path(__file__).resolve().parents[3] / "shared" / "real" / "annotations"
Make = Callable[[], Target]


def targets(demo: Path) -> dict[str, Make]:
    """Name -> what makes the target; ``demo``: a demo set, whose files are the seeds."""
    found = {**_annotations(demo), **_lists(demo), **_submissions(), **of_runs(), **of_kept()}
    return {name: partial(make, name) for name, make in found.items()}


def _editions() -> list[EditionSpec]:
    from harness.cli.commands.submit import all_editions
    from zoo.registry.tracks import load_plugins

    return all_editions(load_plugins([]))


# --- data folders -----------------------------------------------------------------------------------------------------


def _annotations(demo: Path) -> dict[str, Callable[[str], Target]]:
    from harness.data.affwild2.annotation_files import read_frame_labels, read_image_labels
    from harness.data.tracking.openpose import read_openpose
    from harness.data.tracking.person_boxes import read_boxes

    def frames(name: str, folder: str, edition: str) -> Target:
        track = track_of(name.split()[1], edition)[1]
        files = [*(demo / "annotations" / folder).rglob("*.txt"), *(REAL / folder).rglob("*.txt")]
        return Target(
            name,
            "video104.txt",
            contents(files),
            made.texts(*track.headers),
            lambda path: read_frame_labels(path, track),
            USER,
        )

    def images(name: str) -> Target:
        track = track_of("mtl", "abaw11")[1]
        files = (demo / "annotations" / "MTL_Challenge").rglob("*annotations.txt")
        return Target(
            name,
            "train_set.txt",
            contents(files),
            made.texts(*track.headers),
            lambda path: read_image_labels(path, track),
            USER,
        )

    def tree(name: str, file: str, track: str, edition: str) -> Target:
        """A whole data folder, of which one file is spoilt."""
        from harness.data.affwild2.build import build_index

        wanted = track_of(track, edition)
        kept = [p for part in ("annotations", "cropped_aligned", "videos") for p in sorted((demo / part).rglob("*.*"))]
        beside = {str(p.relative_to(demo)): p.read_bytes() if p.suffix == ".txt" else b"" for p in kept if p.is_file()}
        file = file if file == "groups.csv" else min(name for name in beside if name.startswith(file))
        seeds = (beside[file],) if file in beside else (b"video,group\nvideo104,a\nvideo102_left,a\n",)
        up = len(Path(file).parts) - 1

        def read(path: Path) -> object:
            index = build_index(path.parents[up], *wanted)
            return index.fingerprint(), [index.split(split) for split in ("train", "val", "test")]

        header = ("video,group",) if file == "groups.csv" else wanted[1].headers
        return Target(name, file, seeds, made.texts(*header), read, USER, beside, names=False)

    def openpose(name: str) -> Target:
        file = next((demo / "openpose").rglob("*_keypoints.json"))
        return Target(
            name,
            file.name,
            contents([file]),
            made.documents("people", "pose_keypoints_2d", "version"),
            lambda path: read_openpose(path.parent, 3, name="a", size=(640, 360)),
            USER,
        )

    def boxes(name: str) -> Target:
        columns = [f"{part}{axis}" for part in ("face_", "") for axis in ("x0", "y0", "x1", "y1")]
        return Target(
            name,
            "video104.parquet",
            contents((demo / "boxes").glob("*.parquet")),
            made.tables(["frame", *columns, "score"], [b"detector", b"version"]),
            lambda path: read_boxes(path).fitted(12),
            USER,
        )

    va, expr, au = "VA_Estimation_Challenge", "EXPR_Recognition_Challenge", "AU_Detection_Challenge"
    return {
        "annotations va": partial(frames, folder=va, edition="abaw10"),
        "annotations expr": partial(frames, folder=expr, edition="abaw10"),
        "annotations au": partial(frames, folder=au, edition="abaw10"),
        "annotations mtl": images,
        "index, an annotation": partial(tree, file=f"annotations/{va}/Train_Set/", track="va", edition="abaw10"),
        "index, an image list": partial(
            tree, file="annotations/MTL_Challenge/training_set_annotations.txt", track="mtl", edition="abaw11"
        ),
        "index, groups.csv": partial(tree, file="groups.csv", track="va", edition="abaw10"),
        "openpose": openpose,
        "boxes": boxes,
    }


# --- lists and submissions --------------------------------------------------------------------------------------------

_LISTED = {
    "keyed": b"a/00001.jpg\na/00002.jpg\nb/00001.jpg\n",
    "mtl": b"a/00001.jpg\na/00007.jpg\nb/00001.jpg\n",
    "frame_trials": b"a/frame-0.jpg\na/frame-1.jpg\n",
    "items": b"x1\nx2\nx3\n",
    "trials": b"x1,0\nx2,1\n",
    "per_video": b"a 12\nb 10\n",
    "csv": b"a,3\nb,2\n",
}
_SENTENCE = b"The video a.mp4 of the test set has in all 120 frames\n"


def _lists(demo: Path) -> dict[str, Callable[[str], Target]]:
    from harness.data.affwild2.test_lists import read_test_list
    from harness.submissions import verifier as verify
    from harness.submissions import writer as submit

    def official(name: str, track: str, edition: str) -> Target:
        wanted = track_of(track, edition)[1]
        files = [p for p in demo.rglob("*.txt") if "test" in p.name.lower() or "example" in p.name.lower()]
        seeds = (
            (*contents([p for p in files if _accepted(lambda p: read_test_list(p, wanted), p)] or files[:0]),)
            if any(_accepted(lambda p: read_test_list(p, wanted), p) for p in files)
            else (b"a\nb\n",)
        )
        rows = wanted.submission_header.encode() + b"\na/00001.jpg,0,0\na/00002.jpg,0,0\n"
        return Target(
            name,
            "list.txt",
            (*seeds, rows),
            made.texts(wanted.submission_header, "video"),
            lambda path: read_test_list(path, wanted),
            USER,
        )

    def listing(name: str, track: str, edition: str) -> Target:
        wanted = track_of(track, edition)[1]
        form = wanted.submission
        seeds = [_LISTED[form], b"a\nb\n"] if form in submit.row_lists.FRAMED and form != "mtl" else [_LISTED[form]]
        seeds += [_SENTENCE] if form == "per_video" else []
        if wanted.submission_header and form not in ("per_video", "csv"):
            seeds.append(wanted.submission_header.encode() + b"\n" + _LISTED[form])
        reader = submit.read_list if name.startswith("submit") else verify.read_list
        return Target(
            name,
            "list.txt",
            tuple(seeds),
            made.texts(wanted.submission_header, "video", "id"),
            lambda path: reader(path, wanted),
            USER,
        )

    tracks = [("va", "abaw10"), ("mtl", "abaw11"), ("ce", "abaw8"), ("vd", "abaw10"), ("ah", "abaw8"), ("va", "abaw1")]
    tracks = [pair for pair in tracks if _known(*pair)]
    lists = {
        f"{which} {t} {e}": partial(listing, track=t, edition=e)
        for which in ("submit's list", "verify's list")
        for t, e in tracks
    }
    return {
        "test list va": partial(official, track="va", edition="abaw10"),
        "test list mtl": partial(official, track="mtl", edition="abaw11"),
        **lists,
    }


def _known(track: str, edition: str) -> bool:
    try:
        return bool(track_of(track, edition))
    except UserError:
        return False


def _accepted(read: Callable[[Path], object], path: Path) -> bool:
    try:
        read(path)
    except UserError:
        return False
    return True


def _submissions() -> dict[str, Callable[[str], Target]]:
    from harness.submissions import verifier as verify
    from harness.submissions.submission import make_submission
    from harness.submissions.writer import read_table

    def table(name: str, track: str, ending: str) -> Target:
        wanted = track_of(track, "abaw10")[1]
        rows, buffer = rows_of(wanted), io.BytesIO()
        if ending == ".csv":
            pa.csv.write_csv(rows, buffer)
            kinds = made.texts(",".join(rows.column_names), "image,valence,arousal")
        else:
            parquet.write_table(rows, buffer)
            kinds = made.tables(rows.column_names)
        return Target(name, f"table{ending}", (buffer.getvalue(),), kinds, lambda path: read_table(path, wanted), USER)

    def written(name: str) -> Target:
        """From a table to a folder with a file a video: names of videos become names of files."""
        track = track_of("expr", "abaw1")[1]
        buffer = io.BytesIO()
        pa.csv.write_csv(rows_of(track), buffer)

        def read(path: Path) -> object:
            out = path.parent / "out"
            shutil.rmtree(out, ignore_errors=True)
            return make_submission(track, read_table(path, track), None, out, edition="abaw1")

        header = ",".join(rows_of(track).column_names)
        return Target(name, "table.csv", (buffer.getvalue(),), made.texts(header), read, USER, names=False)

    def verified(name: str, track: str, edition: str, listed: bool) -> Target:
        wanted = track_of(track, edition)[1]
        line = wanted.submission_header + "\n" if wanted.submission_header else ""
        answers = ",".join("0" for _ in wanted.answers)
        keys = _LISTED[wanted.submission].decode().split()
        text = (line + "".join(f"{key.split(',')[0]},{answers}\n" for key in keys)).encode()

        def read(path: Path) -> object:
            rows = verify.read_list(path.parent / "list.txt", wanted) if listed else None
            return verify.verify(path, wanted, rows, _editions()), verify.compare(path, path, wanted)

        return Target(
            name,
            "predictions.txt",
            (text,),
            made.texts(line.strip()),
            read,
            USER,
            {"list.txt": _LISTED[wanted.submission]},
        )

    def manifest(name: str) -> Target:
        track = track_of("va", "abaw10")[1]
        content = {
            "schema": 1,
            "edition": "abaw10",
            "track": "va",
            "track_version": 1,
            "file": "predictions.txt",
            "rows": 1,
            "sha256": "0" * 64,
            "list": {"name": "l", "sha256": "0" * 64},
            "zip": "predictions.zip",
        }

        def read(path: Path) -> object:
            found = verify.submission_in(path.parent, track, False)
            if not found.resolve().is_relative_to(path.parent.resolve()) or found == path.parent:
                raise AssertionError(f"a submission outside the folder: {found}")
            return verify.check_manifest(path, found, "abaw10", track, 1, path.parent / "list.txt")

        return Target(
            name,
            "manifest.json",
            (json.dumps(content).encode(),),
            made.documents(*content),
            read,
            USER,
            {"predictions.txt": b"x\n", "list.txt": b"x\n"},
        )

    return {
        "table va csv": partial(table, track="va", ending=".csv"),
        "table expr csv": partial(table, track="expr", ending=".csv"),
        "table expr parquet": partial(table, track="expr", ending=".parquet"),
        "table au parquet": partial(table, track="au", ending=".parquet"),
        "submission, a file a video": written,
        "verify va": partial(verified, track="va", edition="abaw10", listed=True),
        "verify expr": partial(verified, track="expr", edition="abaw10", listed=False),
        "manifest": manifest,
    }
