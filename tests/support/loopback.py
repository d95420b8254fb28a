"""A server on the loopback address, which sends one file, and misbehaves on request."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

BODY = b"\0weights" * 100_000
SHA = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """A server that sends ``body`` for every path except those that misbehave.

    ``version``: a header that names the version of the body, with which ranges of it can be requested (``obeys``: only
    of that very version); ``cut``: the connection ends after so many bytes of the body; ``kind``: its content type;
    ``asked``: the requested paths, ``ranges``: the requested ranges.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.version: tuple[str, str] | None = None
        self.cut: int | None = None
        self.kind = "application/octet-stream"
        self.obeys = True
        self.asked: list[str] = []
        self.ranges: list[str | None] = []
        self.silence = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.ranges.append(self.headers.get("Range"))
        kind = self.path.rpartition("/")[2]
        body = self.server.body
        if kind == "absent.pt":
            self.send_error(404)
        elif kind == "moved.pt":
            self.send_response(302)
            self.send_header("Location", "/net.pt")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif kind == "chunked.pt":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(body) + body[: len(body) // 2])
            self.close_connection = True
        elif kind == "silent.pt":
            self.server.silence.wait(10)
        elif kind == "short.pt":
            self.send_body(body, cut=len(body) // 2)
        else:
            self.send_body(body, cut=self.server.cut)

    def send_body(self, body: bytes, cut: int | None) -> None:
        """Send the whole body, or the requested range if the body still has that version."""
        start, version = 0, self.server.version
        wanted = (self.headers.get("Range") or "").removeprefix("bytes=").removesuffix("-")
        if wanted and version and (self.headers.get("If-Range") == version[1] or not self.server.obeys):
            start = int(wanted)
        if start and start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if version:
            self.send_header(*version)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:][:cut])
        self.close_connection = True

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.silence.set()
    server.shutdown()
    thread.join()
    server.server_close()
