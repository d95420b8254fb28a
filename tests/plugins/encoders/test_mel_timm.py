"""Log-mel pictures for an image network, against NumPy: their numbers, where they lie, and what a clip of them hears."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torchaudio.functional import melscale_fbanks

from plugins.encoders import mel_timm
from plugins.encoders.mel_timm import HOP, POINTS, RATE, MelTimm
from tests.support.refusals import refused
from zoo.testing import no_network
from zoo.weights.loading import load_pretrained

NET = "test_resnet.r160_in1k"
SECONDS, EVERY = 0.5, 8
COLUMNS = int(SECONDS * RATE / HOP)  # 43
POINT = EVERY * HOP / RATE  # seconds from one picture to the next


@pytest.fixture(scope="module")
def net() -> MelTimm:
    torch.manual_seed(0)
    return MelTimm("audio", NET, seconds=SECONDS, bands=40, every=EVERY).eval()


def noise(seconds: float) -> torch.Tensor:
    loud = torch.linspace(0.001, 0.3, round(seconds * RATE))
    return loud * torch.randn(1, len(loud), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def hear(net: MelTimm, samples: torch.Tensor, times: object, valid: torch.Tensor | None = None) -> np.ndarray:
    valid = torch.ones_like(samples, dtype=torch.bool) if valid is None else valid
    heard: np.ndarray = net(samples, valid, torch.as_tensor(times, dtype=torch.float32).view(1, -1))[0].numpy()
    return heard


def picture(sound: np.ndarray, first: int, columns: int = COLUMNS, bands: int = 40) -> np.ndarray:
    """(bands, columns) of the columns from ``first`` on, each from its own stretch of sound; silence beyond it."""
    bank = melscale_fbanks(POINTS // 2 + 1, 0.0, RATE / 2, bands, RATE).double().numpy()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(POINTS) / POINTS)
    energies = np.zeros((bands, columns))
    for column in range(columns):
        middle = (first + column) * HOP
        if middle <= len(sound):
            padded = np.pad(sound, POINTS // 2)[middle : middle + POINTS]
            energies[:, column] = np.abs(np.fft.rfft(padded * window)) ** 2 @ bank
    decibels = 10 * np.log10(np.maximum(energies, 1e-10))
    scaled: np.ndarray = (np.maximum(decibels, decibels.max() - 80) + 14.8) / 19.895
    return scaled


@torch.no_grad()
def embed(net: MelTimm, image: np.ndarray) -> np.ndarray:
    found: np.ndarray = net.net(torch.from_numpy(np.stack([image] * 3)[None]).float())[0].numpy()
    return found


def test_a_frame_lies_between_its_two_pictures(net: MelTimm) -> None:
    """A quarter of the way from the tenth picture to the next; each begins half its columns before its point."""
    samples = noise(2.0)
    sound = samples[0].double().numpy()
    tenth, next_one = (embed(net, picture(sound, point * EVERY - COLUMNS // 2)) for point in (10, 11))
    assert np.abs(tenth - next_one).max() > 1e-3
    np.testing.assert_allclose(
        hear(net, samples, [10.25 * POINT])[0], 0.75 * tenth + 0.25 * next_one, rtol=1e-3, atol=1e-5
    )


def test_the_first_picture_begins_with_the_sound(net: MelTimm) -> None:
    """max(0, t - 5 s) in the code: all frames of the first half of a picture see the same, and at the end is silence."""
    samples = noise(2.0)
    sound = samples[0].double().numpy()
    heard = hear(net, samples, [0.0, POINT, 2 * POINT, 4 * POINT, 2.0 - 1 / RATE])
    for at in (0, 1, 2):
        np.testing.assert_allclose(heard[at], embed(net, picture(sound, 0)), rtol=1e-3, atol=1e-5)
    assert np.abs(heard[3] - heard[0]).max() > 1e-3
    last = (len(sound) - 1) // (EVERY * HOP)
    np.testing.assert_allclose(heard[4], embed(net, picture(sound, last * EVERY - COLUMNS // 2)), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("start", "rate"), [(0, 30.0), (3, 7.5)])
def test_a_clip_hears_what_the_whole_video_hears(net: MelTimm, start: int, rate: float) -> None:
    whole, grid, margin = noise(4.0), net.input.grid, net.input.margin
    times = margin + start * grid / RATE + 0.013 + torch.arange(5) / rate
    first = int((float(times[0]) - margin) * RATE) // grid * grid
    last = int(np.ceil((float(times[-1]) + margin) * RATE))
    clip = hear(net, whole[:, first:last], times - first / RATE)
    np.testing.assert_allclose(clip, hear(net, whole, times), rtol=1e-4, atol=1e-5)


def test_beyond_the_sound(net: MelTimm) -> None:
    """The last picture is held for a tenth of a second and a point; with no sound there is nothing."""
    samples = noise(1.5)
    valid = (torch.arange(samples.shape[1]) < RATE).unsqueeze(0)
    last = (RATE - 1) // (EVERY * HOP) * POINT
    heard = hear(net, samples, [last, last + 0.9 * POINT, last + POINT + 0.12], valid)
    assert heard[0].any()
    np.testing.assert_array_equal(heard[0], heard[1])
    assert not heard[2].any()
    assert not hear(net, samples, [0.1], torch.zeros_like(valid)).any()


def test_masks_are_drawn_in_training_alone() -> None:
    net = MelTimm("audio", NET, seconds=SECONDS, bands=40, every=EVERY, time_mask=20, band_mask=10)
    seen: list[torch.Tensor] = []
    net.net.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    images = torch.randn(6, 40, COLUMNS)
    net.train().embed(images)
    net.eval().embed(images)
    trained, answered = seen
    torch.testing.assert_close(answered[:, 0], images)
    masked = trained[:, 0] == 0
    assert torch.equal(trained[:, 0][~masked], images[~masked])
    columns, bands = masked.all(1).sum(1), masked.all(2).sum(1)
    assert 0 < int(columns.max()) < 20
    assert 0 < int(bands.max()) < 10
    assert len({tuple(row) for row in masked.all(1).tolist()}) > 1  # another one for each picture


def test_timms_weights_are_taken_as_they_are(tmp_path: Path) -> None:
    torch.manual_seed(3)
    published = timm.create_model("test_resnet")
    save_file({name: value.contiguous() for name, value in published.state_dict().items()}, tmp_path / "w.safetensors")
    net = MelTimm("audio", NET)
    with no_network():
        load_pretrained(
            net, replace(mel_timm.card("audio", NET), path=str(tmp_path / "w.safetensors"), url=None, sha256=None)
        )
    taken = net.net.state_dict()
    assert taken.keys() == {name for name in published.state_dict() if not name.startswith("fc.")}
    for name, value in taken.items():
        assert torch.equal(value, published.state_dict()[name])


def test_the_published_picture(net: MelTimm) -> None:
    """10 s are 861 columns of 512 samples at 44.1 kHz."""
    assert MelTimm("audio", NET).columns == 861


def test_a_network_of_one_picture_size_is_refused() -> None:
    with refused("plugin-error"):
        MelTimm("audio", "test_vit.r160_in1k")
    with refused("plugin-error"):
        MelTimm("audio", NET, seconds=0.0)


def test_a_missing_name_is_told_for_this_encoder() -> None:
    for make in (MelTimm, mel_timm.card):
        with refused("plugin-error", match="audio=mel_timm:resnet18"):
            make("audio", None)
