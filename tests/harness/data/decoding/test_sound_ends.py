"""Sound files that are cut short are refused where their headers promise more, and whole ones never."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data.decoding.audio import read_sound
from harness.data.decoding.sound_ends import check_length
from tests.harness.data.decoding.test_audio import write_tone
from tests.support.refusals import refused

DECLARING = {
    "a.wav": "pcm_s16le",
    "a.aiff": "pcm_s16be",
    "a.au": "pcm_s16be",
    "a.caf": "pcm_s16le",
    "a.w64": "pcm_s16le",
    "a.flac": "flac",
    "a.mp3": "libmp3lame",
    "a.mka": "flac",
    "a.tta": "tta",
}
SECONDS = 8.0


def decoded(path: Path) -> float:
    sound = read_sound(path)
    return 0.0 if sound is None else len(sound.samples) / sound.rate


@pytest.mark.parametrize(("name", "codec"), DECLARING.items())
def test_a_cut_file_is_refused(tmp_path: Path, name: str, codec: str) -> None:
    path = write_tone(tmp_path / name, codec, seconds=SECONDS)
    check_length(path, decoded(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 5 // 8])
    with refused("sound-cut-short", file=path) as error:
        check_length(path, decoded(path))
    assert error.value.fields["missing"] == pytest.approx(SECONDS * 3 / 8, abs=1.0)  # TTA has packets of a second


@pytest.mark.parametrize(
    ("name", "codec", "at", "unknown"),
    [
        ("a.wav", "pcm_s16le", 4, b"\xff\xff\xff\xff"),
        ("a.au", "pcm_s16be", 8, b"\xff\xff\xff\xff"),
        ("a.flac", "flac", 21, b"\xf0\0\0\0\0"),  # with the last bits of the sample size
        ("a.mp3", "libmp3lame", 0, b""),
        ("a.aac", "aac", 0, b""),
    ],
)
def test_a_length_that_is_unknown_is_not_compared(
    tmp_path: Path, name: str, codec: str, at: int, unknown: bytes
) -> None:
    path = write_tone(tmp_path / name, codec, seconds=SECONDS)
    content = path.read_bytes().replace(b"Xing", b"....").replace(b"Info", b"....")
    content = content[:at] + unknown + content[at + len(unknown) :]
    path.write_bytes(content[: len(content) * 5 // 8])
    check_length(path, decoded(path))
