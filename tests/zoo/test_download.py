"""Downloads against a server of our own on the loopback address: no test leaves this machine."""

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import nn

from zoo import weights
from zoo.api import Passport
from zoo.download import download
from zoo.errors import UserError

BODY = b"weights" * 100_000
SHA = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Sends ``body`` for every path but those that misbehave; ``asked``: the paths asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.asked: list[str] = []
        self.silence = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
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
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if kind == "short.pt" else body)
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


def passport(url: str, sha256: str | None = SHA) -> Passport:
    return Passport("net", sha256, "MIT", "a test", url=url)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_file_is_fetched_once(server, tmp_path):
    given = passport(server.url("v1/net.pt"), SHA[:8])
    path = weights.find(given, cache=tmp_path)
    assert path == tmp_path / f"127.0.0.1_{server.server_port}" / "v1" / "net.pt"
    assert path.read_bytes() == BODY
    assert weights.find(given, cache=tmp_path, download=False) == path
    assert server.asked == ["/v1/net.pt"]
    assert files(tmp_path) == [str(path.relative_to(tmp_path))]


def test_the_default_cache_is_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path))
    assert weights.find(passport(server.url("net.pt"))).is_relative_to(tmp_path / "weights")


def test_files_of_one_name_at_different_addresses_stay_apart(server, tmp_path):
    paths = ("a/net.pt", "b/net.pt", "a/net.pt?v=1", "a/net.pt?v=2", "../a/../c/net.pt")
    addresses = [server.url(path) for path in paths]
    found = {weights.find(passport(url), cache=tmp_path) for url in addresses}
    assert len(found) == 5
    assert all(path.resolve().is_relative_to(tmp_path) for path in found)


def test_redirections_are_followed(server, tmp_path):
    assert weights.find(passport(server.url("moved.pt")), cache=tmp_path).read_bytes() == BODY


def test_a_wrong_digest_is_refused_and_nothing_stays(server, tmp_path):
    url = server.url("net.pt")
    with pytest.raises(UserError) as error:
        weights.find(passport(url, "0" * 64), cache=tmp_path)
    assert f"what {url} sent has the wrong sha256: expected {'0' * 64}, found {SHA}" in str(error.value)
    assert files(tmp_path) == []


def test_a_cached_file_is_verified_every_time(server, tmp_path):
    path = weights.find(passport(server.url("net.pt")), cache=tmp_path)
    path.write_bytes(BODY[:-1] + b"!")
    with pytest.raises(UserError, match=rf"{path} has the wrong sha256: expected {SHA}, found .* delete it"):
        weights.find(passport(server.url("net.pt")), cache=tmp_path)


def test_without_a_digest_a_second_download_is_compared_with_the_first(server, tmp_path):
    given = passport(server.url("net.pt"), None)
    path = weights.find(given, cache=tmp_path)
    assert path.with_name("net.pt.sha256").read_text() == f"{SHA}  net.pt\n"
    path.unlink()
    server.body = BODY[:-1]
    with pytest.raises(UserError, match=f"has changed since it was first used: expected {SHA}"):
        weights.find(given, cache=tmp_path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("short.pt", f"the transfer broke off: {len(BODY) // 2} of {len(BODY)} bytes came"),
        ("chunked.pt", "the transfer broke off: IncompleteRead"),
        ("absent.pt", "the server answered 404 Not Found"),
    ],
)
def test_a_download_that_fails_says_what_to_do_and_leaves_nothing(server, tmp_path, name, reason):
    url = server.url(name)
    with pytest.raises(UserError) as error:
        weights.find(passport(url, None), cache=tmp_path)
    place = tmp_path / f"127.0.0.1_{server.server_port}" / name
    assert str(error.value) == (
        f"weights 'net' cannot be had from {url}: {reason}: try again, put the file at {place}, "
        "give a file with --set encoder.SLOT.weights=FILE, or train without: --set encoder.SLOT.pretrained=false"
    )
    assert files(tmp_path) == []


def test_a_failed_download_may_be_tried_again(server, tmp_path):
    server.body = BODY[:10]
    with pytest.raises(UserError):
        weights.find(passport(server.url("net.pt")), cache=tmp_path)
    server.body = BODY
    assert weights.find(passport(server.url("net.pt")), cache=tmp_path).read_bytes() == BODY


def test_without_a_network_the_file_may_be_put_in_place_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/net.pt"
    with pytest.raises(UserError, match=r"no connection: .*Connection refused.*put the file at") as error:
        weights.find(passport(url), cache=tmp_path)
    place = Path(str(error.value).split("put the file at ")[1].split(",")[0])
    place.write_bytes(BODY)
    assert weights.find(passport(url), cache=tmp_path) == place


def test_nothing_is_fetched_where_downloads_are_off(server, tmp_path):
    with pytest.raises(UserError, match=f"nothing is downloaded now: put the file at {tmp_path}"):
        weights.find(passport(server.url("net.pt")), cache=tmp_path, download=False)
    assert server.asked == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/net.pt", "net.pt"])
def test_only_http_is_fetched(tmp_path, url):
    with pytest.raises(UserError, match="is not an http or https address"):
        weights.find(passport(url), cache=tmp_path)


def test_a_server_that_falls_silent_is_given_up(server, tmp_path):
    with pytest.raises(OSError, match="timed out"):
        download(server.url("silent.pt"), tmp_path / "net.pt", lambda part: None, timeout=0.2)
    assert files(tmp_path) == []


def test_an_interrupted_download_leaves_nothing(server, tmp_path):
    def interrupt(part):
        assert part.read_bytes() == BODY
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(server.url("net.pt"), tmp_path / "net.pt", interrupt)
    assert files(tmp_path) == []


def test_a_full_disk_is_reported_and_leaves_nothing(server, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="No space left on device"):
        weights.find(passport(server.url("net.pt")), cache=tmp_path)
    assert files(tmp_path) == []


def test_downloaded_weights_are_loaded(server, tmp_path):
    given = nn.Linear(2, 2)
    torch.save(given.state_dict(), tmp_path / "net.pt")
    server.body = (tmp_path / "net.pt").read_bytes()
    encoder = nn.Linear(2, 2)
    loaded = weights.load_pretrained(encoder, passport(server.url("net.pt"), None), cache=tmp_path / "cache")
    assert torch.equal(encoder.weight, given.weight)
    assert loaded.trusted_on_first_use
    assert loaded.record()["url"] == server.url("net.pt")
