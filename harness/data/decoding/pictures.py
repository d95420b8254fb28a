"""Read a user's picture, of any kind that OpenCV or FFmpeg decodes."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from harness.data.decoding.containers import IMAGES
from harness.data.decoding.display import Display, Painter
from harness.data.decoding.jpeg import is_complete, whole_picture
from harness.data.decoding.picture_headers import picture_size
from harness.data.decoding.stills import UNREADABLE, is_damaged, read_avif, read_tiff
from harness.data.decoding.video import open_media
from zoo.errors import UserError
from zoo.files import reason_of
from zoo.limits import check_picture

_ORIENTATION = 0x0112  # the tag of Exif and TIFF


def read_picture(path: Path) -> np.ndarray:
    """Read a picture file as uint8 RGB (H, W, 3); of an animation the first picture.

    JPEG, PNG, BMP and WebP are read as ``harness.data.decoding.jpeg`` reads crops; GIF, TIFF and others by FFmpeg,
    and by Pillow what FFmpeg cannot read or reads wrongly.

    Raises:
        UserError: The file is empty, damaged, cut short, too large, or not a picture of a known kind.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError("image-unreadable", file=path, reason=reason_of(error)) from error
    if not data:
        raise UserError("video-empty", file=path)
    if size := picture_size(data):
        check_picture(path, *size)
    image = whole_picture(data)
    if image is not None:
        return image
    if size or not is_complete(data) or is_damaged(data):
        raise UserError("image-unreadable", file=path, reason="it is cut short or damaged")
    image = read_tiff(data, jpeg_only=True)
    if image is not None:
        return image
    try:
        return _by_ffmpeg(path)
    except UserError as error:
        if error.code == "image-unreadable":  # TIFF of over 4 GB or with Zstandard, AVIF with transparency
            image = read_tiff(data)
            image = read_avif(data) if image is None else image
        if image is None:
            raise
        return image


def pictures_in(path: Path) -> int:
    """Return the number of pictures in a file: several in an animation or a TIFF of several pages; 1 if unknown."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            return int(getattr(file, "n_frames", 1))
    except UNREADABLE:  # a kind that Pillow does not know
        return 1


def _upright(path: Path, picture: np.ndarray) -> np.ndarray:
    """Turn a picture as its Exif orientation says; FFmpeg does not for TIFF."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            turned = file.getexif().get(_ORIENTATION, 1)
    except UNREADABLE:  # a kind that Pillow does not know
        return picture
    pixels = Image.fromarray(picture)
    pixels.getexif()[_ORIENTATION] = turned
    return np.asarray(ImageOps.exif_transpose(pixels))


def _by_ffmpeg(path: Path) -> np.ndarray:
    try:
        with open_media(path) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None or stream.codec_context is None:
                raise UserError("image-unreadable", file=path, reason="its content is not a picture")
            still = any(part in container.format.name for part in IMAGES) or stream.frames == 1  # HEIC, AVIF
            if not still:
                raise UserError("image-unreadable", file=path, reason=f"its content is {container.format.name}")
            if len(container.streams.video) > 1 and not any(part in container.format.name for part in IMAGES):
                raise UserError("image-unreadable", file=path, reason="it is stored in tiles or layers, as phones do")
            check_picture(path, stream.width, stream.height)
            frame = next(container.decode(stream))
            # Not the frame's own display: PyAV cannot list the side data of some pictures.
            return _upright(path, Painter(Display(), path)(frame, None))
    except UserError as error:
        if error.code != "video-unreadable":
            raise
        raise UserError("image-unreadable", file=path, reason=error.fields["reason"]) from error
    except (av.FFmpegError, StopIteration) as error:
        raise UserError("image-unreadable", file=path, reason="it is damaged, or of a kind that is not read") from error
