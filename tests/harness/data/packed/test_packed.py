"""Packed streams: equal to what they are made of, found where they are fresh, and never taken where they are not."""

from __future__ import annotations

import json
import os
import shutil
import timeit
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.config.schema import Features
from harness.data.affwild2.build import build_index
from harness.data.decoding.frames import pictures
from harness.data.decoding.jpeg import decode_into, read_jpeg, resize
from harness.data.index.index import Index, Video
from harness.data.packed.locate import find_pack
from harness.data.packed.metadata import Label, read_label
from harness.data.packed.reader import Pictures, Samples, from_source
from harness.data.packed.writer import encode_jpeg
from harness.data.preprocessing.pack_build import make_pack
from harness.data.preprocessing.pack_plan import Settings, plan
from harness.data.streams import raw_inputs
from harness.data.streams.box_readers import BodyReader, ContextReader
from harness.data.streams.raw_inputs import RawSlot
from harness.data.streams.readers import AudioReader, FaceReader
from harness.data.streams.sources import source_of
from harness.data.tracking.person_boxes import read_boxes, write_boxes
from harness.features.cache.housekeeping import verify
from harness.features.extraction import extract
from harness.features.frozen_encoder import frozen_slots
from harness.io.digests import DAMAGED, checksum, opened, sealed
from plugins.editions import abaw10
from tests.support.frozen import odd
from tests.support.refusals import refused
from zoo.api import AudioInput, FrameInput
from zoo.files import file_sha256
from zoo.modules import Encoder
from zoo.readers import Source
from zoo.registry.plan import SlotPlan, make_plan
from zoo.registry.tracks import load_plugins

VA = abaw10.EDITION.tracks[0]
SIZE = 64


def pack_to(root: Path, pack: Path, streams: list[str] | None = None, size: int = SIZE) -> list[tuple[str, str, str]]:
    """(stream, name, outcome) of packing in this process."""
    made = make_pack(plan(root, streams), Settings(root, pack, size), jobs=1, progress=False)
    return [(one.stream, one.name, one.outcome) for one in made]


@pytest.fixture(scope="module")
def packed(program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:  # type: ignore[no-untyped-def]
    """A copy of the crumb set that tests may change, and its pack."""
    root = tmp_path_factory.mktemp("packed") / "data"
    shutil.copytree(program.demo, root, symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ABAW_ZOO_CACHE", str(program.cache))
        outcomes = pack_to(root, root / "pack")
        assert {outcome for _, _, outcome in outcomes} == {"packed"}
        assert {stream for stream, _, _ in outcomes} == {"face", "body", "context", "audio"}
        yield root, root / "pack"


@pytest.fixture
def indexes(packed: tuple[Path, Path]) -> tuple[Index, Index]:
    """Without the pack, and with it."""
    bare = build_index(packed[0], abaw10.EDITION, VA)
    return bare, replace(bare, pack=packed[1])


def slot(text: str) -> SlotPlan:
    made = make_plan(
        load_plugins([]),
        encoders=text,
        fusion="late",
        head="gru",
        answers=VA.answers,
        losses=(),
        post=(),
        finetune=(),
        options={},
    )
    return made.slots[0]


class Viewer(Encoder):
    """Wants pictures of a size."""

    def __init__(self, size: int) -> None:
        super().__init__(1, FrameInput(size, (0.0,) * 3, (1.0,) * 3))


class Listener(Encoder):
    """Wants sound."""

    def __init__(self) -> None:
        super().__init__(1, AudioInput(16_000, margin=0.1, grid=160))


# --- equal to the source ----------------------------------------------------------------------------------------------


def test_faces_are_the_crops_byte_for_byte(indexes: tuple[Index, Index]) -> None:
    seen = 0
    for video in indexes[1].videos:
        one, two = (FaceReader(source_of(index, video)) for index in indexes)
        assert (one.packed, two.packed is None) == (None, False)
        assert one.fingerprint() == two.fingerprint()
        np.testing.assert_array_equal(one.present(), two.present())
        for i in np.flatnonzero(one.present()):
            path = video.crops / f"{i + 1:05d}.jpg"
            assert two.packed.jpeg(i).tobytes() == path.read_bytes()
            crop = read_jpeg(path)
            two.packed.fill(np.array([i]), [found := np.empty_like(crop)])
            np.testing.assert_array_equal(found, crop)
            np.testing.assert_array_equal(one.image(i, None, 48), two.image(i, None, 48))
            seen += 1
        assert two.image(int(np.argmin(two.present())), None, 48) is None or two.present().all()
    assert seen > 100


def test_face_features_are_equal_and_have_one_key(
    indexes: tuple[Index, Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for place, index in enumerate(indexes):
        monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / str(place)))
        few = replace(index, videos=index.videos[:2])
        slots = frozen_slots([slot("face")], Features(precision="float32"), torch.device("cpu"))
        store, failures = extract(few, slots, progress=False)
        assert not failures
        keys = {name: folder.name for (_, name), folder in store.folders.items()}
        found.append((keys, [np.array(store.rows("face", video.name)) for video in few.videos]))
    assert found[0][0] == found[1][0]
    for one, two in zip(found[0][1], found[1][1], strict=True):
        assert len(one)
        np.testing.assert_array_equal(one, two)


def test_sound_is_the_same_samples(
    indexes: tuple[Index, Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, with_pack = indexes
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path))
    one, two = (RawSlot(index, slot("audio"), Listener()) for index in indexes)
    for video in bare.videos:
        assert AudioReader(source_of(with_pack, video)).packed is not None
        np.testing.assert_array_equal(one.present(video.name), two.present(video.name))
        a, b = one.clip(video.name, 3, 11), two.clip(video.name, 3, 11)
        np.testing.assert_array_equal(a["samples"], b["samples"])
        np.testing.assert_array_equal(a["times"], b["times"])
        assert one.reader(video.name).fingerprint() == two.reader(video.name).fingerprint()


@pytest.mark.parametrize("reader", [BodyReader, ContextReader])
def test_pictures_of_raw_video_are_near_and_say_so(
    indexes: tuple[Index, Index], reader: type[BodyReader] | type[ContextReader]
) -> None:
    video = next(video for video in indexes[0].videos if video.video.suffix == ".mp4")
    one, two = (reader(source_of(index, video)) for index in indexes)
    assert one.uses_video
    assert not two.uses_video
    assert one.fingerprint() != two.fingerprint()
    differences = []
    for i, (direct,) in enumerate(pictures([(one, SIZE)], video.video, video.n_frames)):
        stored = two.image(i, None, SIZE)
        assert (direct is None) == (stored is None) == (not two.present()[i])
        if direct is not None and stored is not None:
            differences.append(np.abs(direct.astype(int) - stored).mean())
            if reader is ContextReader:
                black = (direct == 0).all(-1)
                assert not stored[black & _inside(one, i)].any()
    assert len(differences) > 10
    assert np.mean(differences) < 2
    assert two.image(int(np.flatnonzero(two.present())[0]), None, SIZE // 2).shape == (SIZE // 2, SIZE // 2, 3)
    with refused("pack-pictures-too-small", size=2 * SIZE):
        two.image(int(np.flatnonzero(two.present())[0]), None, 2 * SIZE)


def _inside(reader: ContextReader, i: int) -> np.ndarray:
    """(SIZE, SIZE) bool: where the person is."""
    width, height = reader.source.size()
    x0, y0, x1, y1 = reader.box[i] * SIZE / np.array([width, height, width, height])
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)


@pytest.mark.parametrize("stream", ["face", "body", "context"])
def test_trained_slots_read_the_pack(
    indexes: tuple[Index, Index], stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_video(*_: object, **__: object) -> None:
        raise AssertionError("the raw video was read")

    monkeypatch.setattr(raw_inputs, "pictures", no_video)
    raw = RawSlot(indexes[1], slot(stream), Viewer(SIZE))
    video = indexes[1].videos[0]
    raw.prepare(video.name)
    clip = raw.clip(video.name, 2, 20)
    assert clip["present"].tolist() == raw.present(video.name)[2:20].tolist()
    assert clip["present"].any()
    for i, image in zip(range(2, 20), clip["frames"], strict=True):
        wanted = raw.reader(video.name).image(i, None, SIZE) if clip["present"][i - 2] else np.zeros_like(image)
        np.testing.assert_array_equal(image, wanted)


def test_a_scene_whose_frames_size_is_not_told_is_not_taken_for_absent() -> None:
    source = Source("v", Path(), 1, lambda: np.zeros(1), video=Path("v.mp4"), boxes=lambda: np.float32([[1, 1, 3, 3]]))
    with refused("source-no-size", name="v"):
        ContextReader(source).image(0, np.zeros((8, 8, 3), np.uint8), 8)


def test_a_scene_of_the_very_size_leaves_the_frame_alone() -> None:
    """Several readers are given one frame: what one blacks out, the next must still see."""
    frame = np.full((SIZE, SIZE, 3), 200, np.uint8)
    source = Source(
        "v",
        Path(),
        1,
        lambda: np.zeros(1),
        video=Path("v.mp4"),
        boxes=lambda: np.float32([[10, 10, 30, 30]]),
        size=lambda: (SIZE, SIZE),
    )
    scene = ContextReader(source).image(0, frame, SIZE)
    assert scene is not None
    assert not scene[12:28, 12:28].any()
    assert (frame == 200).all()


# --- fresh or not used ------------------------------------------------------------------------------------------------


@pytest.fixture
def own(packed: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Index]:
    """A copy for one test, and its index with the pack."""
    root = tmp_path / "data"
    shutil.copytree(packed[0], root, symlinks=True)
    index = build_index(root, abaw10.EDITION, VA)
    return root, replace(index, pack=find_pack(root, None))


def reader_of(index: Index, video: Video, kind: type) -> object:
    return kind(source_of(index, video))


def test_a_copy_is_as_fresh_as_its_content(own: tuple[Path, Index]) -> None:
    _, index = own
    for video in index.videos:
        for kind in (FaceReader, BodyReader, ContextReader, AudioReader):
            assert reader_of(index, video, kind).packed is not None  # type: ignore[attr-defined]


def test_a_changed_crop_is_noticed(own: tuple[Path, Index]) -> None:
    root, index = own
    video = next(v for v in index.videos if v.crops and v.crop_frames[:2].all())
    first, second = (video.crops / f"0000{k}.jpg" for k in (1, 2))
    shutil.copyfile(second, first)
    reader = FaceReader(source_of(index, video))
    assert reader.packed is None
    np.testing.assert_array_equal(reader.image(0, None, 48), reader.image(1, None, 48))
    assert ("face", video.name, "packed") in pack_to(root, root / "pack")
    reader = FaceReader(source_of(index, video))
    assert reader.packed is not None
    np.testing.assert_array_equal(reader.image(0, None, 48), resize(read_jpeg(second), 48, 48))


def test_a_changed_video_is_noticed(own: tuple[Path, Index]) -> None:
    _, index = own
    video, other = (v for v in index.videos[:2])
    video.video.write_bytes(other.video.read_bytes())
    for kind in (BodyReader, ContextReader, AudioReader):
        assert reader_of(index, video, kind).packed is None  # type: ignore[attr-defined]
    assert reader_of(index, other, BodyReader).packed is not None  # type: ignore[attr-defined]


def test_changed_boxes_are_noticed(own: tuple[Path, Index]) -> None:
    root, index = own
    shutil.rmtree(root / "openpose", ignore_errors=True)  # whose key points go before the boxes files
    video = next(v for v in index.videos if (root / "boxes" / f"{v.name}.parquet").is_file())
    pack_to(root, root / "pack")
    assert BodyReader(source_of(index, video)).packed is not None
    path = root / "boxes" / f"{video.name}.parquet"
    boxes = read_boxes(path)
    write_boxes(path, replace(boxes, person=boxes.person + 1))
    assert BodyReader(source_of(index, video)).packed is None
    assert AudioReader(source_of(index, video)).packed is not None
    made = pack_to(root, root / "pack")
    assert {(s, n) for s, n, outcome in made if outcome == "packed"} == {("body", video.name), ("context", video.name)}


def test_another_size_is_packed_again(own: tuple[Path, Index]) -> None:
    root, index = own
    made = pack_to(root, root / "pack", size=80)
    assert {s for s, _, outcome in made if outcome == "packed"} == {"body", "context"}
    assert BodyReader(source_of(index, index.videos[0])).packed.label.settings["size"] == 80


@pytest.mark.parametrize("damage", ["cut", "no label", "bad label", "other version", "no file"])
def test_what_is_not_whole_is_not_used(own: tuple[Path, Index], damage: str) -> None:
    root, index = own
    video = index.videos[0]
    arrow, label = (root / "pack" / "face" / f"{video.name}.{end}" for end in ("arrow", "json"))
    if damage == "cut":
        arrow.write_bytes(arrow.read_bytes()[:-100])
    elif damage == "no file":
        arrow.unlink()
    elif damage == "no label":
        label.unlink()
    elif damage == "bad label":
        label.write_text(label.read_text()[:50])
    else:
        label.write_text(json.dumps(sealed({**opened(json.loads(label.read_text())), "version": 0})))
    assert read_label(root / "pack", "face", video.name) is None
    assert FaceReader(source_of(index, video)).packed is None
    assert [o for o in pack_to(root, root / "pack") if o[2] == "packed"] == [("face", video.name, "packed")]
    assert FaceReader(source_of(index, video)).packed is not None


def test_a_damaged_picture_names_its_file(own: tuple[Path, Index]) -> None:
    root, index = own
    video = index.videos[0]
    pack = root / "pack"
    label = read_label(pack, "face", video.name)
    assert label is not None
    pictures = Pictures(pack, label)
    frame = int(np.flatnonzero(pictures.present(video.n_frames))[0])
    start = int(pictures._starts[frame])
    path = pack / "face" / f"{video.name}.arrow"
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(8))
    with pytest.warns(UserWarning, match="set aside"), refused("pack-picture-damaged", path=path, frame=frame + 1):
        Pictures(pack, label).fill(np.array([frame]), [np.empty((48, 48, 3), np.uint8)])


# --- damaged files ----------------------------------------------------------------------------------------------------


def flip(path: Path, place: int, bit: int = 1) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ bit]))


def middle(pack: Path, stream: str, name: str) -> tuple[Path, int, int]:
    """A packed file, a frame of it that has a picture, and a place in the middle of that picture."""
    label = read_label(pack, stream, name)
    assert label is not None
    pictures = Pictures(pack, label)
    frame = int(np.flatnonzero(pictures.present(label.rows))[-1])
    return pictures.path, frame, int(pictures._starts[frame] + pictures._ends[frame]) // 2


@pytest.mark.filterwarnings("ignore:.*it is set aside")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), end=st.sampled_from(["arrow", "json"]))
def test_whatever_bit_of_a_pack_flips_its_faces_stay_the_crops(
    own: tuple[Path, Index], share: float, bit: int, end: str
) -> None:
    root, index = own
    video = next(v for v in index.videos if v.crops)
    kept, path = root / "kept", root / "pack" / "face" / f"{video.name}.{end}"
    if not kept.exists():
        shutil.copytree(root / "pack" / "face", kept)
    shutil.rmtree(path.parent)
    shutil.copytree(kept, path.parent)
    flip(path, int(path.stat().st_size * share), 1 << bit)
    bare = FaceReader(replace(source_of(index, video), pack=None))
    reader = from_source(lambda: _looked_through(FaceReader(source_of(index, video))))
    np.testing.assert_array_equal(bare.present(), reader.present())
    for i in np.flatnonzero(bare.present()):
        np.testing.assert_array_equal(bare.image(i, None, 24), reader.image(i, None, 24))
    assert reader.packed is not None or not path.exists() or end == "json"


def _looked_through(reader: FaceReader) -> FaceReader:
    """A reader of which every picture was read."""
    for i in np.flatnonzero(reader.present()):
        reader.image(i, None, 24)
    return reader


@pytest.mark.parametrize("stream", ["face", "body"])
def test_a_flipped_bit_in_a_pack_never_reaches_the_feature_cache(
    own: tuple[Path, Index], stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did: the features of a damaged picture lay under the key of the whole one for ever."""
    root, index = own
    video = next(v for v in index.videos if v.crops and v.video.suffix == ".mp4")
    few = replace(index, videos=(video,))

    def extracted(cache: str, index: Index) -> tuple[str, np.ndarray]:
        monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path / cache))
        store, failures = extract(index, [replace(odd(), plan=slot(stream))], progress=False)
        assert not failures
        assert verify()[1] == []
        return store.folders[stream, video.name].name, np.array(store.rows(stream, video.name))

    key, wanted = extracted("source", replace(few, pack=None))
    path, frame, place = middle(root / "pack", stream, video.name)
    flip(path, place)
    with pytest.warns(
        UserWarning, match=rf"{path.name}: the picture of frame {frame + 1} differs from what was packed"
    ):
        found = extracted("damaged", few)
    assert found[0] == key  # of the source: packed pictures of raw video have another
    np.testing.assert_array_equal(found[1], wanted)
    assert path.with_name(path.name + DAMAGED).is_file()
    assert (stream, video.name, "packed") in pack_to(root, root / "pack", [stream])
    assert not path.with_name(path.name + DAMAGED).exists()


def test_training_goes_on_from_the_source(own: tuple[Path, Index]) -> None:
    root, index = own
    video = next(v for v in index.videos if v.crops)
    path, frame, place = middle(root / "pack", "face", video.name)
    wanted = FaceReader(replace(source_of(index, video), pack=None)).image(frame, None, SIZE)
    raw = RawSlot(index, slot("face"), Viewer(SIZE))
    raw.prepare(video.name)
    flip(path, place)
    with pytest.warns(UserWarning, match="set aside"):
        clip = raw.clip(video.name, frame, frame + 1)
    np.testing.assert_array_equal(clip["frames"][0], wanted)


def test_damaged_sound_is_decoded_again(own: tuple[Path, Index]) -> None:
    root, index = own
    video = index.videos[0]
    path = root / "pack" / "audio" / f"{video.video.stem}.arrow"
    whole = AudioReader(source_of(index, video)).pcm(16_000)[0].copy()
    flip(path, path.stat().st_size // 2)
    with pytest.warns(UserWarning, match=rf"{path.name}: .*sha256 differs from its label; it is set aside"):
        reader = AudioReader(source_of(index, video))
    assert reader.packed is None
    np.testing.assert_array_equal(reader.pcm(16_000)[0], whole)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_rows_are_refused_before_they_are_unpacked(tmp_path: Path, codec: str) -> None:
    """Less than 1 MB would unpack to 64 MB."""
    path = tmp_path / "face" / "a.arrow"
    path.parent.mkdir()
    batch = pa.record_batch({"jpeg": pa.array([bytes(1 << 26)], pa.large_binary())})
    with pa.ipc.new_file(path, batch.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as file:
        file.write_batch(batch)
    label = Label("face", "a", "source", 1, path.stat().st_size, file_sha256(path), table="any")
    assert path.stat().st_size < 1 << 20
    with refused("pack-unreadable", file=path, reason="its rows are compressed"):
        Pictures(tmp_path, label)


def test_what_cannot_be_renamed_is_not_used_either(own: tuple[Path, Index], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    root, index = own
    video = next(v for v in index.videos if v.crops)
    path, frame, place = middle(root / "pack", "face", video.name)
    flip(path, place)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.warns(UserWarning, match="set aside"), refused("pack-picture-damaged", path=path, frame=frame + 1):
        FaceReader(source_of(index, video)).image(frame, None, SIZE)
    assert path.is_file()
    assert FaceReader(source_of(index, video)).packed is None


def as_by_0_1(pack: Path, stream: str, name: str) -> Path:
    """Write a packed file anew as version 0.1 wrote it: no checksums of rows, a label without a digest."""
    label = read_label(pack, stream, name)
    assert label is not None
    path = pack / stream / f"{name}.arrow"
    with pa.OSFile(str(path), "rb") as file:
        table = pa.ipc.open_file(file).read_all()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.drop_columns(["crc"]).schema) as writer:
        writer.write_table(table.drop_columns(["crc"]))
    plain = {**asdict(label), "bytes": path.stat().st_size, "sha256": file_sha256(path)}
    del plain["table"]
    path.with_suffix(".json").write_text(json.dumps(plain, indent=1) + "\n")
    return path


@pytest.mark.parametrize("stream", ["face", "context"])
def test_a_pack_of_0_1_is_compared_whole(own: tuple[Path, Index], stream: str) -> None:
    root, index = own
    video, kind = index.videos[0], {"face": FaceReader, "context": ContextReader}[stream]
    before = kind(source_of(index, video))
    path = as_by_0_1(root / "pack", stream, video.name)
    reader = kind(source_of(index, video))
    assert reader.packed is not None
    assert reader.fingerprint() == before.fingerprint()  # nobody's features are computed again
    flip(path, path.stat().st_size // 2)
    with pytest.warns(UserWarning, match="its sha256 differs from its label; it is set aside"):
        assert kind(source_of(index, video)).packed is None


def test_checksums_cost_little_beside_decoding() -> None:
    """Under 5 % of what reading a picture takes; measured: 0.3 % at 112 pixels, 0.5 % at 224."""
    noise = np.random.default_rng(0).normal(128, 20, (224, 224, 3)).clip(0, 255).astype(np.uint8)
    data = np.frombuffer(encode_jpeg(resize(noise, 112, 112), 95), np.uint8)
    out = np.empty((112, 112, 3), np.uint8)

    def fastest(work: Callable[[], object]) -> float:
        return min(timeit.repeat(work, number=20, repeat=10))

    assert fastest(lambda: checksum(data.data)) < 0.05 * fastest(lambda: decode_into(data, out))


def test_sound_with_gaps_is_no_sound(own: tuple[Path, Index]) -> None:
    root, index = own
    label = read_label(root / "pack", "audio", index.videos[0].name)
    assert label is not None
    path = root / "pack" / "audio" / f"{label.name}.arrow"
    gaps = pa.record_batch({"samples": pa.array([1, None, 3], pa.int16())})
    with pa.ipc.new_file(path, gaps.schema) as writer:
        writer.write_batch(gaps)
    with refused("pack-unreadable", file=path, reason="column samples has gaps"):
        Samples(root / "pack", replace(label, sha256=file_sha256(path)))


def test_the_pack_that_is_meant(tmp_path: Path) -> None:
    assert find_pack(tmp_path, None) is None
    (tmp_path / "pack").mkdir()
    (tmp_path / "other").mkdir()
    assert find_pack(tmp_path, None) == tmp_path / "pack"
    assert find_pack(tmp_path, str(tmp_path / "other")) == tmp_path / "other"
    assert find_pack(tmp_path, "none") is None
    with refused("pack-folder-missing", named=tmp_path / "nowhere"):
        find_pack(tmp_path, str(tmp_path / "nowhere"))


@pytest.mark.slow
def test_a_run_says_how_its_pictures_were_stored(program, packed: tuple[Path, Path], tmp_path: Path, record) -> None:  # type: ignore[no-untyped-def]
    root, pack = packed
    settings = ("--data", root, "--encoders", "face,context=timm:resnet18", "--epochs", 1, "--post", "clip")
    small = ("--set", "encoder.context.pretrained=false", "--set", f"encoder.context.size={SIZE}")
    answer = program("run", *settings, *small, "--out", tmp_path, "--name", "with")
    assert answer.code == 0, answer.err
    assert record(tmp_path / "with")["result"]["data"]["packed"] == {"context": {"size": SIZE, "quality": 95}}
    os.rename(pack, pack.with_name("elsewhere"))
    try:
        answer = program("run", *settings, *small, "--out", tmp_path, "--name", "none", "--set", "data.pack=none")
        assert answer.code == 0, answer.err
        assert "packed" not in record(tmp_path / "none")["result"]["data"]
    finally:
        os.rename(pack.with_name("elsewhere"), pack)


def test_a_pack_knows_whether_a_crop_may_be_turned(own: tuple[Path, Index]) -> None:
    root, _ = own
    label = json.loads(next((root / "pack" / "face").glob("*.json")).read_text())
    assert label["settings"] == {"turned": False}
