"""Tell videos from other files: first by file name, from the extensions of FFmpeg's containers, then by content."""

from __future__ import annotations

import os
from functools import cache
from itertools import islice

import av
from av.container import InputContainer
from av.format import ContainerFormat
from av.stream import Disposition
from av.video.stream import VideoStream

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".wmv", ".flv", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".m2t"),
    *(".vob", ".3gp", ".3g2", ".ogv", ".f4v", ".mxf", ".dv", ".asf", ".rm", ".rmvb", ".divx", ".mpe", ".qt", ".mk3d"),
)
"""Extensions of videos. A file with one of them is never left out: if it cannot be read, an error names it."""

UNKNOWN, DOCUMENT = "of no known kind", "document"
_SOUND = (".mp3", ".wav", ".flac", ".aac", ".opus", ".m4a", ".m4b", ".wma", ".oga", ".aif", ".aiff", ".mp2", ".ac3")
_MORE_IMAGES = (".webp", ".ico", ".heic", ".heif", ".avif", ".mpo")
_MORE_TEXTS = (".xml", ".js", ".m3u8", ".mpd", ".srt", ".ass", ".ssa", ".vtt", ".sub", ".idx", ".lrc", ".smi")
_DOCUMENTS = (
    *(".csv", ".tsv", ".json", ".jsonl", ".toml", ".yaml", ".yml", ".md", ".html", ".pdf", ".xls", ".xlsx", ".log"),
    *(".npy", ".npz", ".mat", ".pkl", ".pt", ".pth", ".onnx", ".safetensors", ".parquet", ".arrow", ".h5", ".hdf5"),
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".py", ".sh", ".ipynb", ".lock", ".db"),
)
"""Extensions of files that often lie next to videos: they are neither opened nor mentioned."""

_PACKET_BYTES = (188, 192)  # of MPEG transport streams
_PACKETS = 5  # so many must begin with the mark, for a file to be a transport stream

# Containers of pictures, and codecs that draw text.
IMAGES = ("image2", "_pipe", "gif", "apng", "webp", "ico", "jpegxl", "mpo", "fits")
_PLAYLISTS = {"concat", "dash", "hls", "imf", "rtp", "rtsp", "sdp", "webm_dash_manifest"}
_TEXT_CODECS = ("ansi", "bintext", "xbin", "idf")


def kind_by_name(name: str) -> str:
    """Return the kind of a file by its extension.

    It is ``video``, ``sound``, ``still image``, ``text``, ``document``, ``of no known kind``, or ``perhaps`` if a
    container of FFmpeg has that extension.
    """
    suffix = os.path.splitext(name)[1].lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return _kinds().get(suffix, UNKNOWN)


@cache
def _kinds() -> dict[str, str]:
    kinds = dict.fromkeys((_dotted(e) for name in sorted(av.formats_available) for e in _extensions(name)), "perhaps")
    kinds |= dict.fromkeys(_DOCUMENTS, DOCUMENT)
    kinds |= dict.fromkeys(_SOUND, "sound")
    kinds |= dict.fromkeys([*(_dotted(e) for e in _extensions("image2")), *_MORE_IMAGES], "still image")
    kinds |= dict.fromkeys([*(_dotted(e) for e in _extensions("tty")), *_MORE_TEXTS], "text")
    return kinds


def _extensions(name: str) -> set[str]:
    """Return the file name extensions that a container reads or writes."""
    found: set[str] = set()
    for mode in ("r", "w"):
        try:
            found |= ContainerFormat(name, mode).extensions
        except ValueError:  # FFmpeg can only read it, or only write it
            continue
    return found


def _dotted(extension: str) -> str:
    return f".{extension.strip().lower()}"


def video_stream(container: InputContainer) -> VideoStream | str:
    """Return the first stream of moving pictures, or else the file's kind: ``sound``, ``text`` or ``still image``."""
    why = "sound"
    for stream in container.streams.video:
        if stream.codec_context is None or stream.disposition & Disposition.attached_pic:
            continue
        if stream.codec_context.name in _TEXT_CODECS:
            why = "text"
        elif stream.disposition & Disposition.still_image:
            why = "still image"
        else:
            return stream
    return why


def is_playlist(container: InputContainer) -> bool:
    """Return True if a file is a playlist of others. Their content may change while the file itself stays the same."""
    return not _PLAYLISTS.isdisjoint(container.format.name.split(","))


def is_still(container: InputContainer, packets: int) -> bool:
    """Return True if a file is a still image: fewer than two packets in a container of images, which may hold more."""
    return packets < 2 and any(part in container.format.name for part in IMAGES)


def kind_of(container: InputContainer) -> str:
    """Return the kind of an open file: ``video``, ``sound``, ``text`` or ``still image``.

    Playlists do not occur: ``open_media`` refuses them.
    """
    stream = video_stream(container)
    if isinstance(stream, str):
        return stream
    try:
        packets = len(list(islice((packet for packet in container.demux(stream) if packet.size), 2)))
    except av.FFmpegError:  # reported when the video is read
        return "video"
    return "still image" if is_still(container, packets) else "video"


def ends_inside_packet(path: str | os.PathLike[str]) -> bool:
    """Return True if an MPEG transport stream ends inside one of its packets (ISO/IEC 13818-1, 2.4.3.2).

    The packets have 188 bytes, with a time stamp of 4 more in M2TS, and begin with 0x47. FFmpeg reads a stream that was
    cut there without an error, and the stream does not say its length. Other formats have no such packets.
    """
    with open(path, "rb") as file:
        begin = file.read(_PACKETS * max(_PACKET_BYTES))
        size = file.seek(0, os.SEEK_END)
    for length in _PACKET_BYTES:
        marks = begin[length - min(_PACKET_BYTES) :: length]
        if size > len(begin) and len(marks) >= _PACKETS and set(marks[:_PACKETS]) == {0x47}:
            return size % length != 0
    return False
