"""Rendering of report pages: shared layout (leaderboards.render.pages), plotting library and safe inline JSON."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from leaderboards.render.pages import digest, environment, look, sorting, text
from zoo.text import visible

TEMPLATES = Path(__file__).with_name("templates")
_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def script_json(value: Any) -> Markup:
    """Return JSON that is safe in a script element: no part of it ends the element or is an entity.

    Invisible characters in texts are made visible; numbers that are not finite become null.
    """
    text = json.dumps(_seen(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_UNSAFE))


def render(template: str, script: str | None, *, media: str = "", **content: Any) -> str:
    """Return a page.

    Args:
        template: A file of ``templates/``.
        script: The page's own script, added after the plotting library; None: no script at all.
        media: Sources of a video, as in a Content-Security-Policy; empty: no video.
        content: The variables of the template.
    """
    parts = [f"/*\n{text(TEMPLATES / 'uplot.LICENSE.txt')}*/", text(TEMPLATES / "uplot.iife.min.js"), sorting()]
    code = "\n".join([*parts, text(TEMPLATES / script)]) if script else ""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    policy += f"; media-src {media}" if media else ""
    style = [look(), text(TEMPLATES / "report.css"), *([text(TEMPLATES / "uplot.min.css")] if code else [])]
    return (
        _environment()
        .get_template(template)
        .render(
            policy=policy + (f"; script-src {digest(code)}" if code else ""),
            style=Markup("\n".join(style)),
            script=Markup(code),
            **content,
        )
    )


@functools.cache
def _environment() -> Environment:
    made = environment(TEMPLATES)
    made.filters |= {"figure": figure, "count": count}
    return made


def figure(value: Any, digits: int = 4) -> str:
    """Return a number as text with ``digits`` decimals; a dash if it is missing or not finite."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.{digits}f}"


def count(value: Any) -> str:
    """Return a whole number as text with thousands separators; a dash for None."""
    return "-" if value is None else f"{value:,}"


def _seen(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(key)): _seen(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_seen(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
