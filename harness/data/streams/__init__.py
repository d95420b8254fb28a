"""Built-in input streams, registered through the same hook as a plugin's. Readers are imported when opened."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def streams() -> list[api.StreamSpec]:
    """Return the built-in streams: pictures of the person and of the scene, points, sound, words."""
    readers, boxes = "harness.data.streams.readers", "harness.data.streams.box_readers"
    return [
        api.StreamSpec(
            "face",
            f"{readers}:FaceReader",
            "frames",
            ("crops",),
            "lite0",
            "the aligned face crop that Aff-Wild2 ships, 112 x 112",
        ),
        api.StreamSpec(
            "landmarks",
            f"{readers}:FaceReader",
            "frames",
            ("crops",),
            "facemesh",
            "points of the face in the aligned crop, without its place, size and roll",
        ),
        api.StreamSpec(
            "body",
            f"{boxes}:BodyReader",
            "frames",
            ("video", "boxes"),
            "lite0",
            "the raw video cropped to the person's box",
        ),
        api.StreamSpec(
            "portrait",
            f"{boxes}:PortraitReader",
            "frames",
            ("video", "boxes"),
            "lite0",
            "the face with a margin, cut out of the raw video and not turned upright",
        ),
        api.StreamSpec(
            "pose",
            f"{boxes}:BodyReader",
            "frames",
            ("video", "boxes"),
            "blazepose",
            "points of the body in the raw video cropped to the person's box",
        ),
        api.StreamSpec(
            "context",
            f"{boxes}:ContextReader",
            "frames",
            ("video", "boxes"),
            "lite0",
            "the raw video with the person's box blacked out",
        ),
        api.StreamSpec(
            "frame",
            f"{readers}:FrameReader",
            "frames",
            ("video",),
            "lite0",
            "the raw video's whole frame, including the person; no boxes needed",
        ),
        api.StreamSpec(
            "audio",
            f"{readers}:AudioReader",
            "sound",
            ("video",),
            "melcnn",
            "the video's own sound track, 16 kHz, aligned by time stamps",
        ),
        api.StreamSpec(
            "text",
            "harness.data.streams.spoken_words:SpokenWords",
            "text",
            ("text",),
            "hf",
            "the words said around a frame, from an SRT, VTT, JSON or CSV file with their times",
        ),
    ]
