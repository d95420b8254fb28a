"""Tell videos from other files: first by file name, from the extensions of FFmpeg's containers, then by content."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import islice

import av
from av.container import InputContainer
from av.format import ContainerFormat
from av.stream import Disposition
from av.video.stream import VideoStream

from zoo.files import absolute

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".wmv", ".flv", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".m2t"),
    *(".vob", ".3gp", ".3g2", ".ogv", ".f4v", ".mxf", ".dv", ".asf", ".rm", ".rmvb", ".divx", ".mpe", ".qt", ".mk3d"),
)
"""Extensions of videos. A file with one of them is never left out: if it cannot be read, an error names it."""

UNKNOWN, DOCUMENT = "of no known kind", "document"
_SOUND = (".mp3", ".wav", ".flac", ".aac", ".opus", ".m4a", ".m4b", ".wma", ".oga", ".aif", ".aiff", ".mp2", ".ac3")
_MORE_IMAGES = (".jfif", ".jpe", ".webp", ".ico", ".heic", ".heif", ".avif", ".mpo")
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


def without_ending(name: str) -> str:
    """Return a name without the ending of a media or annotation file, for tables that may name files or videos.

    The rarest endings of containers (``.v``, ``.c2``, ``.264``) stay: they may as well be a part of a video's name.
    """
    stem, ending = os.path.splitext(name)
    kind = kind_by_name(name)
    rare = kind == "perhaps" and (len(ending) < len(".gif") or not ending[1].isalpha())
    return name if kind in (UNKNOWN, DOCUMENT) or rare else stem


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
    """Return the first stream of moving pictures, or else the file's kind: ``sound``, ``text`` or ``still image``.

    A stream of a single picture before a longer one is not it: some programs store a cover without marking it as one.
    """
    streams = moving_streams(container)
    if isinstance(streams, str):
        return streams
    if len(streams) == 1:
        return streams[0]
    # Not the stream that FFmpeg calls best: in MP4 that is the cover, as the first stream is marked as the default.
    single = _single_pictures(container, streams)
    return next((stream for stream in streams if stream.index not in single), streams[0])


def moving_streams(container: InputContainer) -> list[VideoStream] | str:
    """Return the streams that are not marked as still images or text; if there is none, the kind of the file."""
    why = "sound"
    found: list[VideoStream] = []
    for stream in container.streams.video:
        if stream.codec_context is None or stream.disposition & Disposition.attached_pic:
            continue
        if stream.codec_context.name in _TEXT_CODECS:
            why = "text"
        elif stream.disposition & Disposition.still_image:
            why = "still image"
        else:
            found.append(stream)
    return found or why


def _single_pictures(container: InputContainer, streams: Sequence[VideoStream]) -> frozenset[int]:
    """Return the indices of the streams that have fewer than two packets; empty if that cannot be found out."""
    try:
        state = os.stat(container.name)
        indices = tuple(stream.index for stream in streams)
        options = tuple(container.options.items())
        return _counted_single(container.name, (state.st_size, state.st_mtime_ns, state.st_ino), indices, options)
    except (av.FFmpegError, OSError):  # reported when the video is read
        return frozenset()


@lru_cache(maxsize=1024)
def _counted_single(
    name: str, state: tuple[int, ...], indices: tuple[int, ...], options: tuple[tuple[str, str], ...]
) -> frozenset[int]:
    """Count packets until every stream has two. Headers do not tell: only some containers have the numbers.

    The file is opened once more, because seeking back is not exact in every container.
    """
    counts: Counter[int] = Counter()
    with av.open(absolute(name), metadata_errors="ignore", options=dict(options)) as again:
        try:
            for packet in again.demux():
                counts[packet.stream.index] += bool(packet.size)
                if min(counts[index] for index in indices) >= 2:
                    break
        except av.FFmpegError:  # it breaks off there, which is reported when the video is read
            pass
    return frozenset(index for index in indices if counts[index] < 2)


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
