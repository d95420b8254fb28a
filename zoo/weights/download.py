"""Download one file over HTTP, atomically; an interrupted download continues where it stopped.

The body is written to ``.NAME.part`` next to the target. If the server identifies the version by an ETag or a date,
this is noted in ``.NAME.part.json``, an interrupted transfer is kept, and the next attempt asks for the rest of that
version (RFC 9110, Range with If-Range). A server that has another version by then, or does not support ranges, sends
the whole file, and the download starts again.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypedDict

from tqdm import tqdm

from zoo.files import locked

_BLOCK = 1 << 18
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml", b"<!--")


class NotAFileError(OSError):
    """The server's response is not a file of weights."""


class _OtherVersionError(Exception):
    """The server has another version than the partial file."""


def download(url: str, target: Path, check: Callable[[Path], None], timeout: float = 30.0) -> None:
    """Download ``url`` (http or https) to ``target`` unless it exists, with a progress bar on a terminal.

    ``check`` gets the complete body under its temporary name. Only if it raises nothing is the file renamed.

    Args:
        url: The address.
        target: The file to write.
        check: Raises if the content is wrong.
        timeout: Seconds without a response.

    Raises:
        OSError: Anything went wrong in transit, a web page instead of the file included; the text is for the user.
    """
    if not url.startswith(("http://", "https://")):
        raise OSError(f"{url} is not an http or https address")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _part_of(target) as part:
        if target.exists():  # another process or thread fetched it while this one waited
            return
        try:
            _Transfer(url, part, target.name, timeout).run()
        except urllib.error.HTTPError as error:
            raise OSError(f"the server answered {error.code} {error.reason}{part.kept()}") from error
        except urllib.error.URLError as error:
            raise OSError(f"no connection: {error.reason}{part.kept()}") from error
        except http.client.HTTPException as error:
            raise OSError(f"the transfer broke off: {type(error).__name__}{part.kept()}") from error
        except (TimeoutError, ConnectionError) as error:
            raise OSError(f"the transfer broke off: {error}{part.kept()}") from error
        part.note.unlink(missing_ok=True)  # the part is now complete or wrong: it must not be continued
        check(part.path)
        os.replace(part.path, target)


class _Noted(TypedDict, total=False):
    """The note about a partial download: its URL, and the ETag or the date of the whole file."""

    url: str
    version: str


@dataclass
class _Part:
    """A partial download. ``note`` holds its URL and version; it exists only while the download can be continued."""

    path: Path
    note: Path
    file: IO[bytes]

    def size(self) -> int:
        """Return the number of bytes that exist."""
        return self.path.stat().st_size

    def known(self) -> _Noted:
        """Return the noted facts about the part: {} if there are none or they cannot be read."""
        try:
            noted = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return _Noted()
        known = isinstance(noted, dict) and all(isinstance(noted.get(key), str) for key in ("url", "version"))
        return _Noted(url=noted["url"], version=noted["version"]) if known else _Noted()

    def kept(self) -> str:
        """Return the end of a message: the next attempt continues."""
        if not self.note.is_file() or not self.size():
            return ""
        return f" ({self.size():,} bytes are kept, and the next try goes on from there)"


@contextmanager
def _part_of(target: Path) -> Iterator[_Part]:
    """Lock the target's temporary file for one process and thread at a time; others wait.

    Afterwards the file stays only with a note, that is if the download can be continued.
    """
    path = target.with_name(f".{target.name}.part")
    with locked(path.with_name(path.name + ".lock")), path.open("ab") as file:
        part = _Part(path, path.with_name(path.name + ".json"), file)
        try:
            yield part
        finally:
            if not (part.note.is_file() and path.exists() and part.size()):
                file.close()
                path.unlink(missing_ok=True)
                part.note.unlink(missing_ok=True)


class _Transfer:
    """One request, and a second one if the first asked for an invalid range."""

    def __init__(self, url: str, part: _Part, name: str, timeout: float) -> None:
        self.url, self.part, self.name, self.timeout = url, part, name, timeout

    def run(self) -> None:
        """Complete the part; raise OSError or one of urllib's exceptions if that fails."""
        known = self.part.known()
        resumable = known.get("url") == self.url and self.part.size() > 0
        if not resumable:
            self._begin_anew()
        try:
            self._fetch(known["version"] if resumable else None)
        except _OtherVersionError:
            self._begin_anew()
            self._fetch(None)

    def _begin_anew(self) -> None:
        self.part.note.unlink(missing_ok=True)
        self.part.file.truncate(0)

    def _fetch(self, version: str | None) -> None:
        have = self.part.size() if version else 0
        asked = {"Range": f"bytes={have}-", "If-Range": version} if version else {}
        request = urllib.request.Request(self.url, headers={"User-Agent": "abaw-zoo", **asked})
        try:
            answer = urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            if version and error.code == 416:  # the server's file is not longer than the part
                raise _OtherVersionError from error
            raise
        with answer:
            if version and answer.status == 206:
                rest = _rest(answer.headers, have, version)
            else:
                self._begin_anew()
                have, rest = 0, answer.length
            first = answer.read(_BLOCK)
            if not have:
                _refuse_page(first, answer.headers.get_content_type())
                self._note(answer.headers)
            received = self._write(answer, first, have, rest)
        # read() ends silently when the connection ends: only the announced size reveals a short body.
        if rest is not None and received != rest:
            raise OSError(f"the transfer broke off: {have + received} of {have + rest} bytes came{self.part.kept()}")

    def _note(self, headers: Any) -> None:
        """Note the version of the download. Weak ETags do not identify a version byte by byte and are ignored."""
        tag = headers.get("ETag")
        version = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")
        if version and headers.get("Accept-Ranges", "bytes") != "none":
            self.part.note.write_text(json.dumps({"url": self.url, "version": version}), encoding="utf-8")

    def _write(self, answer: Any, block: bytes, have: int, rest: int | None) -> int:
        """Write the body as it arrives and return its length."""
        received = 0
        total = None if rest is None else have + rest
        with tqdm(total=total, initial=have, desc=self.name, unit="B", unit_scale=True, disable=None) as bar:
            try:
                while block:
                    self.part.file.write(block)
                    received += len(block)
                    bar.update(len(block))
                    block = answer.read(_BLOCK)
            finally:
                self.part.file.flush()
        return received


def _rest(headers: Any, have: int, version: str) -> int | None:
    """Return the number of bytes to come; raise _OtherVersionError if they do not continue the part."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(?:\d+|\*)", headers.get("Content-Range", ""))
    versions = {headers.get("ETag"), headers.get("Last-Modified")} - {None}
    if found is None or int(found[1]) != have or (versions and version not in versions):
        raise _OtherVersionError
    return int(found[2]) + 1 - have


def _refuse_page(first: bytes, kind: str) -> None:
    """Raise NotAFileError if the body begins like a web page, a Git LFS pointer or a message of the server."""
    text = first[:_BLOCK].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"version https://git-lfs"):
        raise NotAFileError(
            "the server sent a Git LFS pointer instead of the file: fetch it with `git lfs`, or by hand"
        )
    page = text.startswith(_PAGES) or (kind in ("text/html", "application/json") and b"\0" not in first[:512])
    if not page:
        return
    if b"quota" in text or b"too many users have viewed" in text:
        raise NotAFileError("the server sent a web page that says its quota for this file is used up, not the file")
    if b"virus" in text:
        raise NotAFileError("the server sent a web page that asks to go on without a virus scan, not the file")
    raise NotAFileError(f"the server sent a web page ({kind}), not the file")
