"""The registered encoders keep the rules; the built-in ones with real weights, against timm and against themselves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from plugins.encoders import lite0
from plugins.encoders import timm_models as tm
from plugins.encoders.melcnn import HOP, MARGIN, RATE, MelCnn
from tests.support.refusals import Part, refused
from zoo.api import ModelCard
from zoo.registry import registry
from zoo.registry.plan import make_plan
from zoo.testing import check_light, no_network
from zoo.weights.loading import load_pretrained, read


def test_the_catalogue_is_light():
    check_light("plugins.encoders")


def frames(n: int, size: int) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


# --- lite0 ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_lite0() -> tuple[lite0.Lite0, Path]:
    """With its ImageNet weights, and the file they come from."""
    encoder = lite0.Lite0("face", None, size=224)
    loaded = load_pretrained(encoder, lite0.passport("face", None), download=False)
    return encoder.eval(), loaded.path


def test_all_296_entries_of_the_file_have_a_name_in_timm(real_lite0):
    names = {lite0.timm_name(key) for key in read(real_lite0[1])}
    with torch.device("meta"):
        full = timm.create_model("tf_efficientnet_lite0")
    assert len(names) == 296
    assert names == set(full.state_dict())


@pytest.mark.parametrize(("picture", "classes"), [("chelsea.png", {281, 282, 285}), ("coffee.png", {967})])
def test_lite0_sees_a_cat_and_an_espresso(real_lite0, picture, classes):
    """With the file's own classifier on the features: only right names, order and normalisation give these classes."""
    skimage = pytest.importorskip("skimage")
    path = Path(skimage.__file__).parent / "data" / picture
    if not path.is_file():
        pytest.skip(f"scikit-image comes without {picture}")
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    side = min(image.shape[:2])
    y, x = ((n - side) // 2 for n in image.shape[:2])
    encoder, file = real_lite0
    square = cv2.resize(image[y : y + side, x : x + side], (224, 224), interpolation=cv2.INTER_AREA)
    mean, std = torch.tensor(encoder.input.mean), torch.tensor(encoder.input.std)
    pixels = ((torch.from_numpy(square) / 255 - mean) / std).permute(2, 0, 1).unsqueeze(0)
    state = read(file)
    with torch.no_grad():
        p = (encoder.encode(pixels) @ state["_fc.weight"].T + state["_fc.bias"]).softmax(-1)[0]
    assert int(p.argmax()) in classes
    assert p[list(classes)].sum() > 0.8


# --- timm -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["test_resnet", "test_vit", "test_efficientnet", "test_convnext", "mobilenetv3_small_050", "levit_128s"],
)
def test_a_local_file_gives_what_timm_s_classifier_sees(tmp_path, name):
    """A model saved by timm, classifier and all, goes through the passport and gives timm's own features."""
    torch.manual_seed(1)
    full = timm.create_model(name).eval()
    save_file(full.state_dict(), tmp_path / "net.safetensors")
    encoder = tm.TimmEncoder("face", name).eval()
    usual = tm.passport("face", name)
    mine = ModelCard(name, None, "", "", path=str(tmp_path / "net.safetensors"), adapt=usual.adapt)
    with no_network():
        load_pretrained(encoder, mine, download=False)
    x = frames(2, encoder.input.size)
    with torch.no_grad():
        expected = full.forward_head(full.forward_features(x), pre_logits=True)
        torch.testing.assert_close(encoder.encode(x), expected)
    assert expected.shape == (2, encoder.dim)


def test_position_embeddings_are_resampled_to_another_size(tmp_path):
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "net.safetensors")
    encoder = tm.TimmEncoder("face", "test_vit", size=96)
    adapt = tm.passport("face", "test_vit", size=96).adapt
    load_pretrained(encoder, ModelCard("x", None, "", "", path=str(tmp_path / "net.safetensors"), adapt=adapt))
    assert encoder.input.size == 96
    assert encoder.encode(frames(1, 96)).isfinite().all()


def test_a_file_of_another_network_is_refused(tmp_path):
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "net.safetensors")
    encoder = tm.TimmEncoder("face", "test_efficientnet")
    adapt = tm.passport("face", "test_efficientnet").adapt
    with refused("weights-do-not-fit", names=Part("missing")):
        load_pretrained(encoder, ModelCard("x", None, "", "", path=str(tmp_path / "net.safetensors"), adapt=adapt))


@pytest.mark.parametrize(
    ("name", "digest", "end", "saw"),
    [
        ("resnet18.tv_in1k", "f37072fd", "resnet18-f37072fd.pth", ("ImageNet-1k",)),
        ("resnet18", "d63eafa0", "resnet18_a1_0-d63eafa0.pth", ("ImageNet-1k",)),
        ("vit_small_patch14_dinov2", None, "/resolve/main/model.safetensors", ("LVD-142M",)),
    ],
)
def test_passports_name_address_digest_and_data(name, digest, end, saw):
    with no_network():
        passport = tm.passport("face", name)
    assert (passport.sha256, passport.saw) == (digest, saw)
    assert passport.url.endswith(end)
    assert passport.license == {"resnet18.tv_in1k": "bsd-3-clause"}.get(name, "apache-2.0")


def test_a_model_that_timm_cannot_configure_has_no_weights_and_a_tag_names_those_that_are_there(monkeypatch):
    def fail(name):
        raise RuntimeError(name)

    assert tm.timm.list_pretrained("resnet18.*")
    monkeypatch.setattr(tm.timm, "get_pretrained_cfg", fail)
    assert tm.TimmEncoder("face", "resnet18").input.size == 112
    with refused("plugin-error", match=r"no weights 'resnet18\.none'; it has .*resnet18\.a1_in1k"):
        tm.passport("face", "resnet18.none")


def test_a_model_without_published_weights_says_how_a_users_file_is_read(tmp_path):
    """As for the others, without the classifier and under the encoder's names; --set encoder.face.weights=FILE."""
    torch.manual_seed(0)
    usual = tm.passport("face", "ghostnet_050")
    assert not usual.has_place
    net = timm.create_model("ghostnet_050", num_classes=8)
    torch.save(net.state_dict(), tmp_path / "mine.pth")
    answers = registry.load().get("editions", "abaw10").tracks[0].answers
    combination = {"encoders": "face=timm:ghostnet_050", "fusion": "late", "head": "gru", "answers": answers}
    with refused("weights-none-known", name2="timm", argument="ghostnet_050"):
        make_plan(registry.load(), **combination)
    plan = make_plan(registry.load(), **combination, options={"encoder.face.weights": str(tmp_path / "mine.pth")})
    encoder = tm.TimmEncoder("face", "ghostnet_050")
    load_pretrained(encoder, plan.slots[0].passport)
    assert torch.equal(encoder.net.conv_stem.weight, net.conv_stem.weight)


@pytest.mark.parametrize(
    ("name", "given", "size"),
    [
        ("resnet18", None, 112),  # any size: that of the crops
        ("resnet18", 160, 160),
        ("vit_tiny_patch16_224", None, 224),  # its own
        ("vit_small_patch14_dinov2", None, 224),  # its own is 518
        ("vit_small_patch14_dinov2", 112, 112),
    ],
)
def test_the_size_of_the_picture(name, given, size):
    with torch.device("meta"):
        encoder = tm.TimmEncoder("face", name, size=given)
        assert encoder.input.size == size
        assert encoder(torch.empty(1, 2, 3, size, size)).shape == (1, 2, encoder.dim)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "needs the name"),
        ("resnet81", "'resnet18'"),
        ("resnet18.imagenet", "resnet18.tv_in1k"),
        ("hf-hub:timm/resnet18.a1_in1k", "no model"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(name, message):
    with no_network(), refused("plugin-error", match=message):
        tm.TimmEncoder("face", name)


@pytest.mark.parametrize(
    ("name", "size"),
    [("xcit_nano_12_p8_224", 100), ("levit_128s", 100), ("hrnet_w18_small", None), ("vit_tiny_patch16_224", 100)],
)
def test_a_size_that_the_model_cannot_take_is_named(name, size):
    """timm says so when the model is built, when it is run, or (the last one) never."""
    with refused("plugin-error", match="size; .* 224"):
        tm.TimmEncoder("face", name, size=size)


# --- melcnn -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mel() -> MelCnn:
    torch.manual_seed(0)
    return MelCnn("audio", None).eval()


def sound(seconds: float, *, of: str = "noise") -> torch.Tensor:
    time = torch.arange(round(seconds * RATE)) / RATE
    noise = 0.1 * torch.randn(len(time), generator=torch.Generator().manual_seed(0))
    return (noise if of == "noise" else 0.3 * torch.sin(2 * torch.pi * 1000 * time)).unsqueeze(0)


def hear(mel: MelCnn, samples: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return mel(samples, torch.ones_like(samples, dtype=torch.bool), times.view(1, -1))[0]


def test_a_tone_lies_in_its_band(mel):
    """1 kHz is 1000 mel; 64 bands of equal width in mel lie between 50 Hz (78 mel) and 8 kHz (2840 mel)."""
    loudest = mel.log_mel(sound(0.5, of="tone"))[0].mean(-1).argmax()
    assert abs(float(loudest) - ((1000 - 77.8) / (2840 - 77.8) * 65 - 1)) <= 1


def test_a_clip_hears_what_the_whole_video_hears(mel):
    """From any start on the grid of hops, at any frame rate, with the declared margin on each side."""
    whole = sound(4.0)
    for start, rate in ((0, 30.0), (37 * HOP, 7.5), (101 * HOP, 60.0)):
        times = MARGIN + torch.arange(6) / rate
        end = start + round((float(times[-1]) + MARGIN) * RATE)
        torch.testing.assert_close(
            hear(mel, whole[:, start:end], times), hear(mel, whole, times + start / RATE), rtol=1e-4, atol=1e-4
        )


def test_the_answer_reaches_no_further_than_the_margin(mel):
    samples, times = sound(2.0), torch.tensor([1.0])
    before = hear(mel, samples, times)
    for seconds, changes in ((MARGIN, False), (-MARGIN, False), (0.1, True), (-0.1, True)):
        moved = samples.clone()
        at = round((1.0 + seconds) * RATE)
        if seconds > 0:
            moved[:, at:] += 1.0 if not changes else 0.0
            moved[:, at : at + 200] += 1.0
        else:
            moved[:, :at] += 1.0 if not changes else 0.0
            moved[:, at - 200 : at] += 1.0
        assert torch.equal(before, hear(mel, moved, times)) != changes


@pytest.mark.parametrize("at", [0.4, 0.8371, 1.21])
def test_a_click_is_heard_at_its_frame(mel, at):
    times = torch.cumsum(torch.tensor([1 / 30, 1 / 15] * 20), 0)  # a varying rate
    quiet = torch.zeros(1, 2 * RATE)
    click = quiet.clone()
    click[0, round(at * RATE)] = 1.0
    loud = (hear(mel, click, times) - hear(mel, quiet, times)).square().sum(-1)
    assert abs(int(loud.argmax()) - int((times - at).abs().argmin())) <= 1


def test_outside_the_sound_there_is_nothing(mel):
    far = hear(mel, sound(1.0), torch.tensor([-5.0, 9.0, float("nan")]))
    assert not far[:2].any()
    assert far.isfinite().all()


def test_it_works_in_autocast_and_on_hardly_any_sound(mel):
    with torch.autocast("cpu", torch.bfloat16):
        low = hear(mel, sound(1.0), torch.tensor([0.5]))
    np.testing.assert_allclose(low.float(), hear(mel, sound(1.0), torch.tensor([0.5])), atol=0.05)
    assert hear(mel, torch.zeros(1, 1), torch.tensor([0.0, 0.1])).isfinite().all()
