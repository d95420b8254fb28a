"""One file over HTTP, complete or not at all."""

from __future__ import annotations

import http.client
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

_BLOCK = 1 << 18


def download(url: str, target: Path, check: Callable[[Path], None], timeout: float = 30.0) -> None:
    """Fetch ``url`` (http or https) to ``target``, with a progress bar on a terminal.

    The body is written to a temporary file in the same folder; when it is complete ``check`` looks at that file, and
    only if it raises nothing the file gets its name. ``timeout``: seconds without an answer. Raises OSError, with a
    reason for people, for whatever goes wrong on the way.
    """
    if not url.startswith(("http://", "https://")):
        raise OSError(f"{url} is not an http or https address")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            _fetch(url, file, target.name, timeout)
        check(part)
        os.replace(part, target)
    except urllib.error.HTTPError as error:
        raise OSError(f"the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise OSError(f"no connection: {error.reason}") from error
    except http.client.HTTPException as error:
        raise OSError(f"the transfer broke off: {type(error).__name__}") from error
    finally:
        part.unlink(missing_ok=True)


def _fetch(url: str, file: BinaryIO, name: str, timeout: float) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "abaw-zoo"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        size: int | None = answer.length
        received = 0
        with tqdm(total=size, desc=name, unit="B", unit_scale=True, disable=None) as bar:
            while block := answer.read(_BLOCK):
                file.write(block)
                received += len(block)
                bar.update(len(block))
    # read() ends quietly where the connection does: only the announced size tells a short body from a whole one.
    if size is not None and received != size:
        raise OSError(f"the transfer broke off: {received} of {size} bytes came")
