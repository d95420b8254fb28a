"""Pages from templates: every text is made visible and escaped, data stand in a script that they cannot end.

A page forbids itself every request and every script but its own, which it names by its digest.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import leaderboards.render
from zoo.text import visible

TEMPLATES = Path(__file__).with_name("templates")
LOOK = Path(leaderboards.render.__file__).with_name("look.css")
_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def script_json(value: Any) -> Markup:
    """Return JSON that can stand in a script element: nothing in it ends the element, or is an entity.

    Texts are made visible; numbers that are not finite become null."""
    text = json.dumps(_seen(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_UNSAFE))


def render(template: str, script: str | None, **content: Any) -> str:
    """Return a page.

    Args:
        template: A file of ``templates/``.
        script: The page's own script beside the plotting library; None: no script at all.
        content: What the template names.
    """
    code = (
        "\n".join([f"/*\n{_text('uplot.LICENSE.txt')}*/", _text("uplot.iife.min.js"), _text(script)]) if script else ""
    )
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:" + (
        f"; script-src 'sha256-{digest}'" if code else ""
    )
    style = "\n".join([LOOK.read_text(encoding="utf-8"), _text("report.css"), _text("uplot.min.css") if code else ""])
    return (
        _environment().get_template(template).render(policy=policy, style=Markup(style), script=Markup(code), **content)
    )


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"figure": figure, "count": count}
    return made


def figure(value: Any, digits: int = 4) -> str:
    """Return a number as a page shows it; a dash for none."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.{digits}f}"


def count(value: Any) -> str:
    """Return a whole number with its thousands apart; a dash for none."""
    return "-" if value is None else f"{value:,}"


def _shown(value: Any) -> Any:
    return value if isinstance(value, Markup) else visible(str(value))


def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


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
