"""Read the size of a JPEG, PNG, BMP or WebP picture from its header, without decoding it."""

from __future__ import annotations

from struct import error, unpack_from

TIFF = (b"II*\0", b"MM\0*")
BIG_TIFF = (b"II+\0", b"MM\0+")

_NO_FRAME = (0xC4, 0xC8, 0xCC)  # the JPEG markers from C0 to CF that do not begin a frame
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length
_WIDTH, _HEIGHT, _SHORT = 256, 257, 3  # tags of a TIFF, and the kind of a number with two bytes


def picture_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Return width and height; None if the header is of an unknown kind or is cut short."""
    begin = bytes(data[:16])
    try:
        if begin.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if begin.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = unpack_from(">II", data, 16)
            return (width, height) if begin[12:] == b"IHDR" else None
        if begin.startswith(b"BM"):
            (size,) = unpack_from("<I", data, 14)
            width, height = unpack_from("<HH" if size == 12 else "<ii", data, 18)
            return abs(width), abs(height)  # a negative height means that rows run from top to bottom
        if begin.startswith(b"RIFF") and begin[8:12] == b"WEBP":
            return _webp(begin[12:], data)
    except error:  # cut short
        return None
    return None


def tiff_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a TIFF's first page; None if its header is cut short or lacks them."""
    order = ">" if data.startswith(b"MM") else "<"
    found: dict[int, int] = {}
    try:
        (at,) = unpack_from(f"{order}I", data, 4)
        (count,) = unpack_from(f"{order}H", data, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = unpack_from(f"{order}HH", data, entry)
            if tag in (_WIDTH, _HEIGHT):
                (found[tag],) = unpack_from(f"{order}{'H' if kind == _SHORT else 'I'}", data, entry + 8)
    except error:
        return None
    return (found[_WIDTH], found[_HEIGHT]) if len(found) == 2 else None


def _jpeg(data: bytes | memoryview) -> tuple[int, int] | None:
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF or data[at + 1] in (0xFF, 0x00):  # decoders skip bytes between segments
            at += 1
            continue
        marker = data[at + 1]
        if marker in _ALONE:
            at += 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = unpack_from(">HH", data, at + 5)
            return width, height
        (length,) = unpack_from(">H", data, at + 2)
        at += 2 + length
    return None


def _webp(kind: bytes, data: bytes | memoryview) -> tuple[int, int] | None:
    if kind == b"VP8 ":
        width, height = unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    return None
