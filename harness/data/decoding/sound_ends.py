"""Find sound files that are cut short, by what their headers promise: FFmpeg reads them without an error."""

from __future__ import annotations

import os
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from harness.data.decoding.file_ends import missing_end
from harness.data.decoding.video import open_media
from zoo.errors import UserError
from zoo.files import open_file, reason_of

_CUT = 1.0  # seconds that may be missing, as in a video (harness.data.decoding.time_line)
_UNKNOWN_LENGTH = 1 << 30  # bytes or samples: recorders that write to a pipe do not know the length, and write 2 GB
_HEADER = 64  # bytes
_COUNTED = ("flac", "tta", "wv", "mp4")  # formats with the number of samples in their header
_CHUNKS = 64  # a CAF has fewer before its data
_FRAME = 4096  # bytes; an MP3's first frame is shorter
_COUNTS = (b"Xing", b"Info", b"VBRI")  # marks of the number of frames in an MP3


def check_length(path: str | os.PathLike[str], seconds: float) -> None:
    """Raise UserError if a sound file has over a second less than its header promises.

    Args:
        path: A sound file.
        seconds: The length of its sound as decoded.
    """
    path = Path(path)
    try:
        missing = _missing_bytes(path)
        with open_media(path) as container:
            stream = next(iter(container.streams.audio), None)
            if stream is None:
                return
            known = 0 < missing < _UNKNOWN_LENGTH and stream.bit_rate
            short = 8 * missing / (stream.bit_rate or 1) if known else _promised(path, container, stream) - seconds
    except OSError as error:
        raise UserError("video-unreadable", file=path, reason=reason_of(error)) from error
    if short > _CUT:
        raise UserError("sound-cut-short", file=path, missing=short)


def _missing_bytes(path: Path) -> int:
    """Return how many bytes the header of a WAV, AIFF, AU, CAF or W64 file promises beyond its end; may be negative."""
    with open_file(path) as file:
        head = file.read(_HEADER)
        end = 0
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            end = int.from_bytes(head[4:8], "little") + 8
        elif head[:4] == b"RF64":
            end = int.from_bytes(head[20:28], "little") + 8
        elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
            end = int.from_bytes(head[4:8], "big") + 8
        elif head[:4] == b"riff":  # W64: identifiers of 16 bytes, sizes of 8 that count their own header
            end = int.from_bytes(head[16:24], "little")
        elif head[:4] == b".snd":
            end = int.from_bytes(head[4:8], "big") + int.from_bytes(head[8:12], "big")
        elif head[:4] == b"caff":
            at = 8
            for _ in range(_CHUNKS):
                file.seek(at)
                chunk = file.read(12)
                end = at + 12 + int.from_bytes(chunk[4:], "big", signed=True)
                if chunk[:4] == b"data" or end <= at:
                    break
                at = end
        return end - path.stat().st_size


def _promised(path: Path, container: InputContainer, stream: AudioStream) -> float:
    """Return the seconds of sound that a file's header promises; 0 if it promises none.

    Of other files FFmpeg estimates the length from their size, which tells nothing.
    """
    form = container.format.name
    if "matroska" in form:
        is_alone = len(container.streams) == 1  # otherwise another stream may be longer
        length = (container.duration or 0) - (container.start_time or 0)
        return length / av.time_base if is_alone else 0.0
    is_counted = any(part in form for part in _COUNTED) or (form == "mp3" and _counts_frames(path))
    if stream.duration is None or stream.duration > _UNKNOWN_LENGTH or not (is_counted or missing_end(path, form)):
        return 0.0
    return float(stream.duration * (stream.time_base or 0))


def _counts_frames(path: Path) -> bool:
    """Return whether an MP3 has the number of its frames, in its first frame after the tags of ID3."""
    with open_file(path) as file:
        head = file.read(10)
        size = sum(byte << 7 * (3 - k) for k, byte in enumerate(head[6:10])) + 10 if head[:3] == b"ID3" else 0
        file.seek(size)
        first = file.read(_FRAME)
    return any(mark in first for mark in _COUNTS)
