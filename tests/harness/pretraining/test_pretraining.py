"""`harness pretrain` on made-up pictures: what it refuses, what it writes, and that the file is the network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.batching.windows import Windows
from harness.data.corpora.checking import COPY, check_pictures
from harness.data.corpora.decoding import cut, read_picture
from harness.data.synthetic.corpus_faces import is_made_up, make_corpus
from harness.predicting.command import load_model
from harness.pretraining.clips import SLOT, parts_of
from harness.pretraining.counts import UNDRAWN, UNLABELLED, count_pictures, labels_of
from harness.pretraining.plan import squash_of, track_of
from harness.pretraining.request import Request, configured
from harness.pretraining.run import pretrain, resume
from harness.runs.exposure import exposure_metadata
from harness.training import loop
from plugins.corpora import affectnet, corpora
from plugins.encoders.checkpoint import Checkpoint, own_scores, passport
from tests.support.refusals import Part, refused
from zoo.api import Answer, EditionSpec, FrameInput, TrackSpec
from zoo.errors import Stopped
from zoo.metrics import scores as metrics
from zoo.weights import sealed
from zoo.weights.loading import load_pretrained
from zoo.weights.network_cards import read_network_card

SPECS = {spec.name: spec for spec in corpora()}
NET = ("encoder.face.pretrained=false", "encoder.face.size=32", "train.batch=16")


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("faces") / "csv"
    make_corpus(root, SPECS["affectnet"], "csv", 88, 0)
    return root


def ask(root: Path, *sets: str, targets=("expr", "va"), encoder="timm:test_resnet", partial=False):
    config, options = configured(
        encoder, targets, {"device": "cpu", "logger": []}, [*NET, *sets] if "timm" in encoder else sets
    )
    return Request("affectnet", str(root), targets, partial, options), config


@pytest.fixture(scope="module")
def done(faces, tmp_path_factory) -> Path:
    return pretrain(*ask(faces), out=tmp_path_factory.mktemp("out"), name="one")


def card(folder: Path) -> dict:
    return json.loads((folder / "card.json").read_text())


def test_the_card_says_what_was_seen(done, faces):
    said = card(done)["result"]
    table = affectnet.read(faces)
    assert said["pictures"] == {"train": int(table.train.sum()), "val": int((~table.train).sum())}
    assert said["labels"]["train"]["Fear"] == int((table.labels[table.train, 0] == 4).sum())
    assert said["saw"] == ["made-up pictures in the layout of AffectNet"]
    assert said["license"].startswith("AffectNet: research only")
    assert (said["selection_split"], said["n_selections"], said["selected"]) == (None, 0, [])
    for target in ("expr", "va"):
        for measure in said["scores"][target]["measures"].values():
            assert measure["low"] <= measure["value"] <= measure["high"]


def test_the_file_alone_gives_the_scores_of_the_card(done, faces):
    """An independent path: the file as an encoder, pictures decoded one by one, metrics of the whole at once."""
    file = str(done / "model.safetensors")
    encoder = Checkpoint("face", file).eval()
    load_pretrained(encoder, passport("face", file))
    table = affectnet.read(faces)
    rows = np.flatnonzero(~table.train)
    images = np.zeros((len(rows), 32, 32, 3), np.uint8)
    for image, row in zip(images, rows.tolist(), strict=True):
        read_picture(table, row, image)
    pixels = torch.from_numpy(images).float().permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(x)[:, None, None] for x in (encoder.input.mean, encoder.input.std))
    with torch.no_grad():
        got = encoder.scores(encoder.encode((pixels - mean) / std)).numpy()
    said = card(done)["result"]["scores"]
    truth = table.labels[rows]
    confusion = metrics.confusion(got[:, :8].argmax(1), truth[:, 0], 8)
    assert said["expr"]["measures"]["accuracy"]["value"] == pytest.approx(metrics.accuracy(confusion))
    assert said["expr"]["measures"]["macro_f1"]["value"] == pytest.approx(metrics.f1_per_class(confusion).mean())
    for column, name in enumerate(("valence", "arousal")):
        ccc = metrics.ccc(got[:, 8 + column], truth[:, 1 + column])
        assert said["va"]["measures"][f"ccc_{name}"]["value"] == pytest.approx(ccc, abs=1e-5)


def test_the_file_needs_no_option_and_refuses_one_that_contradicts_it(done):
    file = str(done / "model.safetensors")
    network = read_network_card(Path(file))
    assert network is not None
    own = own_scores("face", file)
    assert (own.classes, own.values) == (network.classes, ("valence", "arousal"))
    assert passport("face", file).saw == network.saw
    assert passport("face", file).license == network.license
    assert load_model(f"face=checkpoint:{file}").about.kind == "ready model"
    with refused("option-fixed", name="size", value=64, said=32):
        passport("face", file, size=64)


def test_the_same_command_gives_the_same_card(done, faces, tmp_path):
    again = pretrain(*ask(faces), out=tmp_path, name="two")
    assert card(again)["result_sha256"] == card(done)["result_sha256"]


def test_a_stage_begins_with_the_file_of_the_one_before(done, faces, tmp_path):
    file = done / "model.safetensors"
    encoder = f"checkpoint:{file}"
    folder = pretrain(*ask(faces, "train.epochs=1", targets=("va",), encoder=encoder), out=tmp_path)
    said = card(folder)["result"]
    assert said["seen_before"] is True
    assert said["starting_weights"]["sha256"] == card(done)["result"]["weights_sha256"]
    assert said["config"]["train"]["encoder_lr"] == pytest.approx(said["config"]["train"]["lr"] / 10)
    network = read_network_card(folder / "model.safetensors")
    assert network is not None
    assert (network.classes, network.values, network.squash) == ((), ("valence", "arousal"), "tanh")


def test_a_finished_one_is_not_continued(done):
    with refused("resume-finished", folder=done):
        resume(done)


@pytest.mark.parametrize(
    ("sets", "key"),
    [
        ("train.clip=4", "train.clip"),
        ("fusion=late", "fusion"),
        ("head.layers=1", "head"),
        ("folds=3", "folds"),
        ("trees=true", "trees"),
        ("tta.flip=true", "tta"),
        ("distill.weight=0.3", "distill"),
        ("adapt=face=lora:rank=2", "adapt"),
    ],
)
def test_settings_of_videos_are_refused(faces, sets, key):
    with refused("pretrain-setting", key=key):
        ask(faces, sets)


def test_what_does_not_fit_is_refused_before_a_folder_is_made(faces, tmp_path):
    with refused("pretrain-encoder", why=Part("cannot be written")):
        pretrain(*ask(faces, encoder="fer"), out=tmp_path)
    with refused("plugin-error", match="not one linear layer"):
        pretrain(*ask(faces, "encoder.face.size=224", encoder="timm:levit_128s"), out=tmp_path)
    with refused("pretrain-loss", what=Part("48 outputs to 10 predictions")):
        pretrain(*ask(faces, 'loss=["ccc_bins"]'), out=tmp_path)
    assert list(tmp_path.iterdir()) == []


class Decoding:
    width = 5

    def __init__(self, decode):
        self.decode = decode


def test_a_loss_that_decodes_otherwise_is_refused():
    def decoding(values):
        return Decoding(lambda raw: torch.cat([raw[..., :3].softmax(-1), values(raw[..., 3:])], -1))

    classes = Answer("expression", "class", invalid=-1, classes=("a", "b", "c"))
    values = [Answer(name, "value", invalid=-5) for name in ("valence", "arousal")]
    track = TrackSpec("expr,va", (classes, *values), "macro_f1", (0, 1), (), (), "", "")
    assert squash_of(decoding(torch.tanh), track) == "tanh"
    assert squash_of(decoding(lambda raw: raw.clamp(-1, 1)), track) == "clamp"
    with refused("pretrain-loss", what=Part("neither tanh nor clipped")):
        squash_of(decoding(torch.sigmoid), track)
    with refused("pretrain-loss", what=Part("not a softmax")):
        squash_of(Decoding(lambda raw: raw.sigmoid()), track)
    with refused("pretrain-loss", what=Part("5 outputs to 4 predictions")):
        squash_of(Decoding(lambda raw: raw[..., :4]), track)


def test_pictures_that_are_not_learned_are_counted(faces):
    config, table = ask(faces)[1], affectnet.read(faces)
    train, val = np.flatnonzero(table.train), np.flatnonzero(~table.train)
    table.labels[train[:3], 0] = table.labels[val[:2], 0] = np.nan  # as of contempt with seven classes
    both, one = (track_of("affectnet", targets, table) for targets in (("expr", "va"), ("expr",)))
    got = count_pictures(config, both, table)
    assert got.pictures == {"train": len(train) - 3, "val": len(val)}
    assert got.left_out == {**table.left_out, UNDRAWN: 3}
    got = count_pictures(config, one, table)
    assert got.pictures == {"train": len(train) - 3, "val": len(val) - 2}
    assert got.left_out == {**table.left_out, UNLABELLED: 5}
    plain = config.model_copy(update={"train": config.train.model_copy(update={"balance": "none"})})
    assert count_pictures(plain, both, table).pictures == {"train": len(train), "val": len(val)}
    table.labels[val, 0] = np.nan
    with refused("corpus-part-empty", part="validation"):
        count_pictures(config, one, table)


def test_made_up_pictures_are_known_above_and_below_the_folder_of_the_mark(faces, tmp_path):
    table = affectnet.read(faces)
    assert is_made_up(table)
    inner = np.array([name.partition(b"/")[2] for name in table.files.tolist()])
    assert is_made_up(replace(table, root=faces / "Manually_Annotated_Images", files=inner))
    above = np.array([faces.name.encode() + b"/" + name for name in table.files.tolist()])
    assert is_made_up(replace(table, root=faces.parent, files=above))
    assert not is_made_up(replace(table, root=tmp_path))


def test_what_the_starting_weights_were_trained_on_stays_in_the_file_and_the_card(done, faces, tmp_path):
    said = [
        {"edition": edition, "track": "va", "data": "Aff-Wild2", "synthetic": False, "train": ["a"], "select": ["b"]}
        for edition in ("abaw10", "abaw8")
    ]
    seen = {"saw": json.dumps(said[:1]), "stages": json.dumps(said[1:])}
    state, before = sealed.load(done / "model.safetensors")
    sealed.save(state, tmp_path / "start.safetensors", {**before, **seen})
    encoder = f"checkpoint:{tmp_path / 'start.safetensors'}"
    folder = pretrain(*ask(faces, "train.epochs=1", targets=("va",), encoder=encoder), out=tmp_path)
    assert exposure_metadata(folder / "model.safetensors") == seen
    made_up = "made-up pictures in the layout of AffectNet"
    assert card(folder)["result"]["saw"] == [made_up, "Aff-Wild2: abaw10 va", "Aff-Wild2: abaw8 va"]
    network = read_network_card(folder / "model.safetensors")
    assert network is not None
    assert network.saw == tuple(card(folder)["result"]["saw"])


def test_damaged_pictures_are_refused_or_counted_and_copies_leave_the_training_part(faces):
    table = affectnet.read(faces)
    train, val = np.flatnonzero(table.train), np.flatnonzero(~table.train)
    first, second = table.path(int(train[0])), table.path(int(train[1]))
    kept = first.read_bytes(), second.read_bytes()
    try:
        first.write_bytes(kept[0][:-400])
        second.write_bytes(table.path(int(val[0])).read_bytes())
        with refused("corpus-pictures-damaged", count=1, total=len(table), first=first):
            check_pictures(table, partial_ok=False, shown=False)
        found = check_pictures(table, partial_ok=True, shown=False)
        assert found.damaged == (table.files[train[0]].decode(),)
        assert (found.table.left_out["damaged picture"], found.table.left_out[COPY]) == (1, 1)
        assert len(found.table) == len(table) - 2
        with refused("corpus-picture-damaged", file=first):
            read_picture(table, int(train[0]), np.zeros((32, 32, 3), np.uint8))
    finally:
        first.write_bytes(kept[0])
        second.write_bytes(kept[1])


def test_a_box_that_leaves_the_picture_is_black_there():
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3) + 1
    got = cut(image, np.array([-1, 2, 3, 4]))
    wanted = np.zeros((4, 3, 3), np.uint8)
    for y in range(4):
        for x in range(3):
            if 0 <= y + 2 < 4 and 0 <= x - 1 < 5:
                wanted[y, x] = image[y + 2, x - 1]
    np.testing.assert_array_equal(got, wanted)


def test_a_stopped_one_is_continued_to_the_same_card(done, faces, tmp_path, monkeypatch):
    end = loop._Loop.end_epoch

    def stop(self, *, last):
        end(self, last=last)
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(loop._Loop, "end_epoch", stop)
        with pytest.raises(Stopped):
            pretrain(*ask(faces), out=tmp_path, name="stopped")
    assert not (tmp_path / "stopped" / "card.json").exists()
    resume(tmp_path / "stopped")
    assert card(tmp_path / "stopped")["result_sha256"] == card(done)["result_sha256"]


def test_a_batch_has_the_pictures_and_labels_of_its_windows(faces):
    table = affectnet.read(faces)
    track = track_of("affectnet", ("expr", "va"), table)
    spec = FrameInput(32, (0.5,) * 3, (0.5,) * 3)
    parts = parts_of(table, labels_of(table, track), EditionSpec("a", "", 0, (track,)), track, spec, 0)
    videos = parts["val"].videos
    rows = np.concatenate([parts["val"].raw[SLOT].rows[video.name] for video in videos])
    assert sorted(rows.tolist()) == np.flatnonzero(~table.train).tolist()  # each once, none of the training part
    windows = Windows(np.array([[0, 3, 4, 0], [0, 1, 2, 0], [0, 3, 4, 1]]))
    batch = parts["train"].batch(windows, 1, slice(1, 3))
    train = parts["train"].raw[SLOT].rows["train"]
    image = np.zeros((32, 32, 3), np.uint8)
    for place, frame in enumerate((1, 3)):  # the second and third clip, of all three clips' labels
        read_picture(table, int(train[frame]), image)
        np.testing.assert_array_equal(batch.inputs[SLOT]["frames"][place, 0].numpy(), image)
    np.testing.assert_allclose(batch.target[:, 0].numpy(), table.labels[train[[3, 1, 3]]])
    assert batch.where == [("train", 3, 0), ("train", 1, 0), ("train", 3, 1)]


@pytest.mark.slow
def test_a_network_learns_the_drawn_faces(tmp_path):
    """Eight expressions are told apart on pictures that were not trained on: labels and pictures belong together."""
    make_corpus(tmp_path / "npy", SPECS["affectnet"], "npy", 800, 0)
    sets = ("train.epochs=6", "train.lr=3e-3", "train.batch=32", "encoder.face.size=48")
    request, config = ask(tmp_path / "npy", *sets)
    folder = pretrain(request, config.model_copy(update={"augment": ("none",)}), out=tmp_path)
    said = card(folder)["result"]["scores"]
    assert said["expr"]["measures"]["macro_f1"]["low"] > 0.5
    assert said["va"]["measures"]["mean_ccc"]["low"] > 0.5
