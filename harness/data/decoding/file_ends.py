"""Find GIF, ASF (WMV), Ogg and MPEG program files that are cut short, by their blocks: FFmpeg reads them silently."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from struct import unpack_from
from typing import TypeVar
from uuid import UUID

Data = bytes | mmap.mmap
Found = TypeVar("Found")

_TRAILER, _EXTENSION, _IMAGE, _PADDING = 0x3B, 0x21, 0x2C, 0x00  # what a block of a GIF begins with
_ASF_HEADER = UUID("75b22630-668e-11cf-a6d9-00aa0062ce6c").bytes_le
_ASF_PROPERTIES = UUID("8cabdca1-a947-11cf-8ee4-00c00c205365").bytes_le
_ASF_DATA = UUID("75b22636-668e-11cf-a6d9-00aa0062ce6c").bytes_le
_ASF_BEGIN, _ASF_OBJECT = 30, 24  # bytes of the header's own fields, and of an object's GUID and size
_ASF_FLAGS, _BROADCAST = 88, 1  # place of the flags among the properties; a broadcast does not know its size
_START, _PACK, _PROGRAM_END = b"\0\0\1", b"\0\0\1\xba", b"\xb9"  # of MPEG program streams
_PACK_BYTES, _OLD_PACK_BYTES = 14, 12  # of a pack's header, in MPEG-2 and in MPEG-1
_OGG_PAGE, _OGG_HEADER, _OGG_END = b"OggS\0", 27, 4  # mark of a page, bytes of its header, flag of a stream's last one


def missing_end(path: Path, form: str) -> str:
    """Return how much of a file is missing at its end; "" for a complete file, or if its format does not tell.

    Args:
        path: A file that is not empty.
        form: FFmpeg's name of its format.
    """
    look = {"gif": _missing_of_gif, "asf": _missing_of_asf}.get(form)
    return _looked_at(path, look) if look else ""


def lacks_end_mark(path: Path, form: str) -> bool:
    """Return True if a GIF ends after a whole block, but without its end mark, or if an Ogg file has none.

    It may be cut there; a few programs, and recordings of a broadcast, never write the mark.
    """
    if form == "ogg":
        return not _looked_at(path, _ogg_has_end)
    return form == "gif" and _looked_at(path, gif_end) == "unmarked"


def ends_inside_pes(path: Path, form: str) -> bool:
    """Return True if an MPEG program stream (``.mpg``, ``.vob``) ends inside one of its packets.

    One that ends after a packet may be whole: many lack the end code, and none says its length.
    """
    return form == "mpeg" and _looked_at(path, _last_pack_is_cut)


def gif_end(data: Data) -> str:
    """Return how a GIF ends: ``whole``, ``cut`` inside a block, or ``unmarked``: after a block, without its end mark.

    What follows the end mark does not matter. A file with unknown blocks counts as whole: only a decoder can tell.
    """
    try:
        at = 13 + _colours(data[10])
        while at < len(data):
            kind = data[at]
            if kind == _TRAILER:
                return "whole"
            if kind == _EXTENSION:
                at = _after_parts(data, at + 2)
            elif kind == _IMAGE:  # nine bytes, its colours, the size of its codes, its data
                at = _after_parts(data, at + 11 + _colours(data[at + 9]))
            elif kind == _PADDING:
                at += 1
            else:
                return "whole"
    except IndexError:
        return "cut"
    return "unmarked" if at == len(data) else "cut"


def _looked_at(path: Path, look: Callable[[Data], Found]) -> Found:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return look(data)


def _missing_of_gif(data: Data) -> str:
    return "it ends inside a picture" if gif_end(data) == "cut" else ""


def _colours(flags: int) -> int:
    """Return the number of bytes of the table of colours that the flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_parts(data: Data, at: int) -> int:
    """Return the place after the parts of a block. Each begins with its length, and the last one is empty."""
    while length := data[at]:
        at += length + 1
    return at + 1


def _ogg_has_end(data: Data) -> bool:
    """Return True if the last page is whole and ends its stream (RFC 3533, section 6)."""
    at = data.rfind(_OGG_PAGE)
    begin = at + _OGG_HEADER
    if at < 0 or begin > len(data):
        return at < 0  # no Ogg file at all, which a decoder must tell, or an incomplete header
    parts = data[begin - 1]
    return data[at + 5] & _OGG_END != 0 and begin + parts + sum(data[begin : begin + parts]) <= len(data)


def _last_pack_is_cut(data: Data) -> bool:
    """Follow the packets of the last pack (ISO/IEC 13818-1, 2.5.3, and 11172-1, 2.4.3, whose packs have 12 bytes)."""
    at = data.rfind(_PACK)
    if at < 0 or at + _PACK_BYTES > len(data):
        return at >= 0
    at += _PACK_BYTES + (data[at + 13] & 7) if data[at + 4] >> 6 == 1 else _OLD_PACK_BYTES
    while data[at : at + 3] == _START and data[at + 3 : at + 4] != _PROGRAM_END:
        at += 6 + int.from_bytes(data[at + 4 : at + 6], "big")
    return at > len(data)


def _missing_of_asf(data: Data) -> str:
    """Compare the length of a file with the end of its packets; an index that follows them is not needed.

    See the Advanced Systems Format specification, revision 01.20.03, sections 2.2, 3.2 and 5.
    """
    if data[:16] != _ASF_HEADER or len(data) < _ASF_BEGIN:
        return ""
    (header,) = unpack_from("<Q", data, 16)
    if header + _ASF_OBJECT > len(data):  # FFmpeg says that it cannot be read
        return ""
    properties = _asf_properties(data, header)
    if properties is None or unpack_from("<I", data, properties + _ASF_FLAGS)[0] & _BROADCAST:
        return ""
    (length,) = unpack_from("<Q", data, header + 16)
    if data[header : header + 16] != _ASF_DATA or header + length <= len(data):
        return ""
    return f"{len(data):,} of {header + length:,} bytes"


def _asf_properties(data: Data, end: int) -> int | None:
    """Return where the properties of the file are in a header that ends at ``end``; None if it has none."""
    at = _ASF_BEGIN
    while at + _ASF_OBJECT <= end:
        (size,) = unpack_from("<Q", data, at + 16)
        if data[at : at + 16] == _ASF_PROPERTIES:
            return at if at + _ASF_FLAGS + 4 <= end else None
        if size < _ASF_OBJECT:
            return None
        at += size
    return None
