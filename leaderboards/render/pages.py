"""Shared parts of all pages: templates that escape text, the style, sorted tables, digests for the policy.

A page forbids itself every request and every script but its own, which its Content Security Policy names by digest, so
that not even a name that found a way around the escaping could run.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from leaderboards.text import visible

HERE = Path(__file__).parent


def environment(*folders: Path) -> Environment:
    """Return the environment of templates in ``folders`` and of the shared ones here."""
    return Environment(
        loader=FileSystemLoader([*folders, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def text(path: Path) -> str:
    """Return a style, script or licence for inclusion in a page."""
    return path.read_text(encoding="utf-8")


def look() -> str:
    """Return the style that all pages have."""
    return text(HERE / "look.css")


def sorting() -> str:
    """Return the script that sorts tables by a click on a head."""
    return text(HERE / "sorting.js")


def digest(source: str) -> str:
    """Return the digest that identifies a style or script in the policy."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() + "'"


def _shown(value: Any) -> Any:
    return value if isinstance(value, Markup) else visible(str(value))
