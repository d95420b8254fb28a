"""Downloads against a server of our own on the loopback address: no test leaves this machine."""

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.loopback import BODY, SHA, server
from tests.support.refusals import Part, refused
from zoo.api import ModelCard
from zoo.weights import loading
from zoo.weights.download import download

__all__ = ["server"]


def passport(url: str, sha256: str | None = SHA) -> ModelCard:
    return ModelCard("net", sha256, "MIT", "a test", url=url)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_file_is_fetched_once(server, tmp_path):
    given = passport(server.url("v1/net.pt"), SHA[:8])
    path = loading.find(given, cache=tmp_path)
    assert path == tmp_path / f"127.0.0.1_{server.server_port}" / "v1" / "net.pt"
    assert path.read_bytes() == BODY
    assert loading.find(given, cache=tmp_path, download=False) == path
    assert server.asked == ["/v1/net.pt"]
    assert files(tmp_path) == [str(path.relative_to(tmp_path))]


def test_the_default_cache_is_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("ABAW_ZOO_CACHE", str(tmp_path))
    assert loading.find(passport(server.url("net.pt"))).is_relative_to(tmp_path / "weights")


def test_files_of_one_name_at_different_addresses_stay_apart(server, tmp_path):
    paths = ("a/net.pt", "b/net.pt", "a/net.pt?v=1", "a/net.pt?v=2", "../a/../c/net.pt")
    addresses = [server.url(path) for path in paths]
    found = {loading.find(passport(url), cache=tmp_path) for url in addresses}
    assert len(found) == 5
    assert all(path.resolve().is_relative_to(tmp_path) for path in found)


def test_redirections_are_followed(server, tmp_path):
    assert loading.find(passport(server.url("moved.pt")), cache=tmp_path).read_bytes() == BODY


def test_a_wrong_digest_is_refused_and_nothing_stays(server, tmp_path):
    url = server.url("net.pt")
    with refused("weights-digest-wrong", what=Part(url), wanted="0" * 64, got=SHA):
        loading.find(passport(url, "0" * 64), cache=tmp_path)
    assert files(tmp_path) == []


def test_a_cached_file_is_verified_every_time(server, tmp_path):
    path = loading.find(passport(server.url("net.pt")), cache=tmp_path)
    path.write_bytes(BODY[:-1] + b"!")
    with refused("weights-digest-wrong", what=path, wanted=SHA):
        loading.find(passport(server.url("net.pt")), cache=tmp_path)


def test_without_a_digest_a_second_download_is_compared_with_the_first(server, tmp_path):
    given = passport(server.url("net.pt"), None)
    path = loading.find(given, cache=tmp_path)
    assert path.with_name("net.pt.sha256").read_text() == f"{SHA}  net.pt\n"
    path.unlink()
    server.body = BODY[:-1]
    with refused("weights-changed", file=path, wanted=SHA):
        loading.find(given, cache=tmp_path)


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
    place = tmp_path / f"127.0.0.1_{server.server_port}" / name
    with refused("weights-not-downloaded", name="net", url=url, error=Part(reason), by_hand=Part(place)) as error:
        loading.find(passport(url, None), cache=tmp_path)
    for option in ("--set encoder.SLOT.weights=FILE", "--set encoder.SLOT.pretrained=false"):
        assert option in error.value.fields["by_hand"]
    assert files(tmp_path) == []


def test_a_failed_download_may_be_tried_again(server, tmp_path):
    server.body = BODY[:10]
    with refused("weights-digest-wrong", wanted=SHA):
        loading.find(passport(server.url("net.pt")), cache=tmp_path)
    server.body = BODY
    assert loading.find(passport(server.url("net.pt")), cache=tmp_path).read_bytes() == BODY


def test_without_a_network_the_file_may_be_put_in_place_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/net.pt"
    with refused("weights-not-downloaded", error=Part("Connection refused")) as error:
        loading.find(passport(url), cache=tmp_path)
    place = Path(error.value.fields["by_hand"].split("put the file at ")[1].split(",")[0])
    place.write_bytes(BODY)
    assert loading.find(passport(url), cache=tmp_path) == place


def test_nothing_is_fetched_where_downloads_are_off(server, tmp_path):
    with refused("weights-not-here", url=server.url("net.pt"), by_hand=Part(tmp_path)):
        loading.find(passport(server.url("net.pt")), cache=tmp_path, download=False)
    assert server.asked == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/net.pt", "net.pt"])
def test_only_http_is_fetched(tmp_path, url):
    with refused("weights-not-downloaded", url=url, error=Part("not an http or https")):
        loading.find(passport(url), cache=tmp_path)


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
    with refused("weights-not-downloaded", error=Part("No space left on device")):
        loading.find(passport(server.url("net.pt")), cache=tmp_path)
    assert files(tmp_path) == []


def test_downloaded_weights_are_loaded(server, tmp_path):
    given = nn.Linear(2, 2)
    torch.save(given.state_dict(), tmp_path / "net.pt")
    server.body = (tmp_path / "net.pt").read_bytes()
    encoder = nn.Linear(2, 2)
    loaded = loading.load_pretrained(encoder, passport(server.url("net.pt"), None), cache=tmp_path / "cache")
    assert torch.equal(encoder.weight, given.weight)
    assert loaded.trusted_on_first_use
    assert loaded.record()["url"] == server.url("net.pt")


# --- going on with what broke off -------------------------------------------------------------------------------------

VERSIONS = [("ETag", '"one"'), ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")]
HALF = len(BODY) // 2


def broken_off(server, target: Path, version: tuple[str, str] = VERSIONS[0]) -> None:
    """Let a transfer end in the middle."""
    server.version, server.cut = version, HALF
    with pytest.raises(OSError, match=f"broke off: {HALF} of {len(BODY)} bytes came \\({HALF:,} bytes are kept"):
        download(server.url("net.pt"), target, lambda part: None)
    server.cut = None
    assert not target.exists()
    assert (target.parent / ".net.pt.part").read_bytes() == BODY[:HALF]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v[0])
def test_a_broken_transfer_goes_on(server, tmp_path, version):
    broken_off(server, tmp_path / "net.pt", version)
    download(server.url("net.pt"), tmp_path / "net.pt", lambda part: None)
    assert (tmp_path / "net.pt").read_bytes() == BODY
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert files(tmp_path) == ["net.pt"]


def test_it_may_break_off_again_and_again(server, tmp_path):
    server.version, server.cut = VERSIONS[0], len(BODY) // 5
    for _ in range(4):
        with pytest.raises(OSError, match="broke off"):
            download(server.url("net.pt"), tmp_path / "net.pt", lambda part: None)
    server.cut = None
    download(server.url("net.pt"), tmp_path / "net.pt", lambda part: None)
    assert (tmp_path / "net.pt").read_bytes() == BODY
    assert server.ranges[1:] == [f"bytes={n * (len(BODY) // 5)}-" for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("obeys", [True, False])
def test_another_version_is_fetched_whole(server, tmp_path, obeys):
    """Also from a server that sends the rest of it unasked."""
    broken_off(server, tmp_path / "net.pt")
    server.body, server.version, server.obeys = BODY[::-1], ("ETag", '"two"'), obeys
    download(server.url("net.pt"), tmp_path / "net.pt", lambda part: None)
    assert (tmp_path / "net.pt").read_bytes() == BODY[::-1]


def test_a_server_that_knows_no_parts_is_asked_for_the_whole(server, tmp_path):
    broken_off(server, tmp_path / "net.pt")
    server.version = None
    download(server.url("net.pt"), tmp_path / "net.pt", lambda part: None)
    assert (tmp_path / "net.pt").read_bytes() == BODY


def test_a_shorter_file_under_the_same_version_is_fetched_whole(server, tmp_path):
    broken_off(server, tmp_path / "net.pt")
    server.body = BODY[:100]
    download(server.url("net.pt"), tmp_path / "net.pt", lambda part: None)
    assert (tmp_path / "net.pt").read_bytes() == BODY[:100]
    assert server.ranges == [None, f"bytes={HALF}-", None]


def test_the_part_of_another_address_is_not_gone_on_with(server, tmp_path):
    broken_off(server, tmp_path / "net.pt")
    download(server.url("v2/net.pt"), tmp_path / "net.pt", lambda part: None)
    assert server.ranges == [None, None]


@pytest.mark.parametrize("version", [None, ("ETag", 'W/"weak"')], ids=["none", "weak"])
def test_without_a_version_nothing_is_kept(server, tmp_path, version):
    server.version, server.cut = version, HALF
    with pytest.raises(OSError, match=r"bytes came$"):
        download(server.url("net.pt"), tmp_path / "net.pt", lambda part: None)
    assert files(tmp_path) == []


def test_a_wrong_file_is_not_gone_on_with(server, tmp_path):
    server.version = VERSIONS[0]
    with refused("weights-digest-wrong"):
        loading.find(passport(server.url("net.pt"), "0" * 64), cache=tmp_path)
    assert files(tmp_path) == []


def test_many_at_once_fetch_it_once(server, tmp_path):
    """Threads, as processes do, wait for the one that is at it, and take what it has brought."""
    server.version = VERSIONS[0]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: download(server.url("net.pt"), tmp_path / "net.pt", lambda part: None), range(8)))
    assert (tmp_path / "net.pt").read_bytes() == BODY
    assert files(tmp_path) == ["net.pt"]
    assert len(server.asked) == 1


def test_a_note_that_cannot_be_read_is_no_note(server, tmp_path):
    broken_off(server, tmp_path / "net.pt")
    for note in ("{", "[]", json.dumps({"url": server.url("net.pt"), "version": 3})):
        (tmp_path / ".net.pt.part.json").write_text(note)
        (tmp_path / "net.pt").unlink(missing_ok=True)
        download(server.url("net.pt"), tmp_path / "net.pt", lambda part: None)
        assert (tmp_path / "net.pt").read_bytes() == BODY


# --- pages instead of files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "refusal"),
    [
        (
            b"<!DOCTYPE html><title>Google Drive - Quota exceeded</title>",
            "text/html",
            refused("weights-not-downloaded", error=Part("quota")),
        ),
        (
            b"\n<html><p>Too many users have viewed or downloaded this file recently",
            "text/html",
            refused("weights-not-downloaded", error=Part("quota")),
        ),
        (
            b"<html>Google Drive can't scan this file for viruses",
            "text/html",
            refused("weights-not-downloaded", error=Part("without a virus scan")),
        ),
        (
            b"<!doctype html><title>Sign in</title>",
            "application/octet-stream",
            refused("weights-not-downloaded", error=Part("a web page")),
        ),
        (b"Please wait", "text/html", refused("weights-not-downloaded", error=Part("a web page (text/html)"))),
        (
            b'{"message": "Not Found"}',
            "application/json",
            refused("weights-not-downloaded", error=Part("a web page (application/json)")),
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:12",
            "text/plain",
            refused("weights-not-downloaded", error=Part("a Git LFS pointer")),
        ),
    ],
)
def test_a_page_instead_of_the_file_is_told(server, tmp_path, body, kind, refusal):
    server.body, server.kind, server.version = body, kind, VERSIONS[0]
    with refusal:
        loading.find(passport(server.url("net.pt"), None), cache=tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("kind", ["text/html", "application/json", "text/plain"])
def test_a_file_is_a_file_whatever_the_server_calls_it(server, tmp_path, kind):
    server.kind = kind
    assert loading.find(passport(server.url("net.pt")), cache=tmp_path).read_bytes() == BODY
