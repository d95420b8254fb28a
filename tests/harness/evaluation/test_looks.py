"""Test-time augmentation against sums by hand: strides and phases, mirrored pictures, views, short videos, settings."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from harness.config.recorded import recorded, with_left_out
from harness.config.schema import RunConfig, load_config
from harness.config.tta import Tta, tta_sets
from harness.evaluation import looks
from harness.evaluation.looks import Look, Pass, check_passes, cost_factor, passes_of, weights_of
from harness.evaluation.prediction import answers
from harness.features.views import FixedView
from tests.harness.batching.test_clips import Store, video
from tests.harness.evaluation.test_prediction import TIMES, TRACK, Clips, Counting, Echo, Pictures
from tests.support.refusals import refused
from zoo.api import AugmentationSpec, FrameInput
from zoo.augmenting import Augmentation, ClipName, drawing
from zoo.model.model import Batch
from zoo.modules import FusionOut

CPU = torch.device("cpu")


class Square(Echo):
    """Answers the square of the frame's number, so that interpolation is not exact; the classes have probabilities."""

    def forward(self, batch: Batch) -> FusionOut:
        number = batch.features["face"][..., 1].float()
        classes = torch.stack([number / 100, 1 - number / 100], -1)
        return FusionOut(torch.cat([(number**2).unsqueeze(-1), classes], -1), {})


def clips(seen: np.ndarray, store: Store | None = None) -> Clips:
    index = SimpleNamespace(videos=())
    return Clips(index, [video("v", np.zeros((40, 2)))], ["face"], store or Store({"v": seen}), {})  # type: ignore[arg-type]


def predicted(passes: list[Pass], seen: np.ndarray | None = None, store: Store | None = None):
    mask = np.ones(40, bool) if seen is None else seen
    how = {"length": 8, "batch": 3, "device": CPU, "passes": tuple(passes)}
    return next(answers(Square(), clips(mask, store), TRACK, **how))  # type: ignore[arg-type]


def by_hand(stride: int, values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the mean over the phases of what each interpolates from the present frames that it samples."""
    each = []
    for phase in range(stride):
        frames = [f for f in range(phase, 40, stride) if seen[f]]
        each.append(np.interp(TIMES, TIMES[frames], values[frames]) if stride > 1 else values)
    return np.mean(each, 0)


def config(**tta: object) -> RunConfig:
    return RunConfig.model_validate({"tta": tta, "train": {"clip": 8}})


def test_strides_are_means_over_phases_interpolated_to_every_frame() -> None:
    seen = np.ones(40, bool)
    seen[[7, 8, 20]] = False
    passes = passes_of(config(strides="1+3"), SimpleNamespace(slots=(), augment={}))  # type: ignore[arg-type]
    assert [(one.stride, one.phase) for one in passes] == [(1, 0), (3, 0), (3, 1), (3, 2)]
    got = predicted(list(passes), seen)
    square, share = np.arange(40.0) ** 2 * seen, np.arange(40) / 100 * seen  # absent frames have features of zero
    wanted = (square + by_hand(3, square, seen)) / 2
    np.testing.assert_allclose(got.values["valence"], wanted, rtol=1e-6, atol=1e-4)
    assert not np.allclose(wanted, square)
    np.testing.assert_allclose(got.values["mood"][:, 0], (share + by_hand(3, share, seen)) / 2, atol=1e-6)
    np.testing.assert_allclose(got.values["mood"].sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(got.present["face"], seen)
    assert got.values["valence"].dtype == np.float32


def test_the_features_of_a_look_are_averaged_with_the_plain_ones() -> None:
    store = Store({"v": np.ones(40, bool)})
    rows = store._maps["face", "v"].copy()
    rows[:, 1] += 10
    store._maps["face@mirror", "v"] = rows
    store._masks["face@mirror", "v"] = store._masks["face", "v"]
    got = predicted([Pass(), Pass(Look("mirror", frozenset({"face"})))], store=store)
    number = np.arange(40.0)
    np.testing.assert_allclose(got.values["valence"], (number**2 + (number + 10) ** 2) / 2, rtol=1e-6)
    alone = predicted([Pass(), Pass(Look("mirror", frozenset()))], store=store)  # a branch without the look is plain
    np.testing.assert_allclose(alone.values["valence"], number**2, rtol=1e-6)


def test_one_plain_pass_changes_nothing() -> None:
    plain, one = (
        predicted([Pass()]),
        next(answers(Square(), clips(np.ones(40, bool)), TRACK, length=8, batch=3, device=CPU)),
    )
    for name in ("valence", "mood"):
        np.testing.assert_array_equal(plain.values[name], one.values[name])


def test_a_video_shorter_than_a_stride_has_as_many_passes_as_frames() -> None:
    passes = [Pass(stride=1), *(Pass(stride=4, phase=p) for p in range(4))]
    assert weights_of(passes, 40) == [1, 0.25, 0.25, 0.25, 0.25]
    assert weights_of(passes, 2) == [1, 0.5, 0.5, 0, 0]


def batch(values: np.ndarray) -> Batch:
    frames = torch.from_numpy(values)
    ones = torch.ones(values.shape[:2], dtype=torch.bool)
    where = [("v", start, 0) for start in range(0, values.shape[0] * values.shape[1], values.shape[1])]
    return Batch({}, {"face": {"frames": frames, "present": ones}}, {"face": ones}, ones, ones, ones, where)


def raw_clips() -> SimpleNamespace:
    return SimpleNamespace(raw={"face": Pictures(Counting().input, np.ones(8, bool))})  # type: ignore[arg-type]


def test_pictures_of_trained_encoders_are_mirrored_twice_to_themselves() -> None:
    values = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 6, 3), np.uint8)
    owner = SimpleNamespace(name="v", n_frames=8)
    look = Look("mirror")
    once = look.change(batch(values), raw_clips(), owner)  # type: ignore[arg-type]
    np.testing.assert_array_equal(once.inputs["face"]["frames"].numpy(), values[:, :, :, ::-1])
    twice = look.change(once, raw_clips(), owner)  # type: ignore[arg-type]
    np.testing.assert_array_equal(twice.inputs["face"]["frames"].numpy(), values)


class Shift:
    """Adds a number drawn once to all pixels."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images + torch.randint(0, 255, ()).to(torch.uint8)


def test_all_windows_of_a_video_get_the_draw_of_its_view() -> None:
    """The draw of a trained encoder's view is that of a frozen encoder's cached view, whatever the windows and the number of frames."""
    spec = AugmentationSpec("shift", "tests:Shift", "Shifts.")
    chain = (Augmentation(spec, Shift(), 1.0),)
    owner = SimpleNamespace(name="v", n_frames=8)
    values = np.zeros((2, 4, 2, 2, 3), np.uint8)
    drawn = []
    for view in ("1", "2"):
        got = Look(view, chains={"face": chain}).change(batch(values), raw_clips(), owner)  # type: ignore[arg-type]
        (number,) = np.unique(got.inputs["face"]["frames"].numpy())
        with drawing(CPU):
            whole = chain[0].pictures(
                torch.zeros(1, 3, 2, 2, dtype=torch.uint8), [0], ClipName(0, int(view), "v", 0, 0)
            )
        assert number == int(whole.unique())
        drawn.append(number)
    assert drawn[0] != drawn[1]
    assert FixedView(frozenset({"face"}), "2")("face", "v", 0, 8) == "face@2"


def test_the_command_line_names_the_settings() -> None:
    made = load_config(None, {}, tta_sets("flip,views=4,strides=1+2"))
    assert made.tta == Tta(flip=True, views=4, strides=(1, 2))
    assert cost_factor(made) == 12
    assert load_config(None, {}, tta_sets("strides=3")).tta.strides == (3,)
    for text in ("", "flop", "flip,flip", "views", "flip=2", "strides="):
        with refused("tta-invalid", got=text):
            tta_sets(text)
    for text in ("views=-1", "strides=0", "strides=1+x", "views=x"):
        with refused("setting-invalid"):
            load_config(None, {}, tta_sets(text))


def test_a_record_without_it_is_as_it_was_before() -> None:
    plain, used = recorded(RunConfig()), recorded(config(flip=True))
    assert "tta" not in plain
    assert used["tta"] == {"flip": True, "views": 0, "strides": []}
    assert with_left_out(plain)["tta"] == Tta().model_dump(mode="json")


def test_passes_that_do_not_fit_are_refused() -> None:
    def plan(kind: str):
        slot = SimpleNamespace(name="a", stream=SimpleNamespace(kind=kind), frozen=True)
        return SimpleNamespace(slots=(slot,), augment={})

    with refused("tta-no-pictures"):
        check_passes(config(flip=True), plan("sound"))  # type: ignore[arg-type]
    with refused("tta-views-nothing", views=2):
        check_passes(config(views=2), plan("frames"))  # type: ignore[arg-type]
    with refused("tta-strides-twice"):
        check_passes(config(strides="2+2"), plan("frames"))  # type: ignore[arg-type]
    with refused("stride-over-clip", key="tta.strides", stride=9, clip=8):
        check_passes(config(strides="9"), plan("frames"))  # type: ignore[arg-type]
    fps = RunConfig.model_validate({"tta": {"strides": "2"}, "train": {"fps": 5}})
    with refused("tta-strides-fps"):
        check_passes(fps, plan("frames"))  # type: ignore[arg-type]


@pytest.mark.parametrize(("frozen", "context", "strides"), [(False, 1, "1"), (False, 0, "2"), (True, 1, "2")])
def test_strides_are_for_trained_encoders_that_read_single_frames(
    monkeypatch: pytest.MonkeyPatch, frozen: bool, context: int, strides: str
) -> None:
    def plan(frozen: bool):
        return SimpleNamespace(slots=(SimpleNamespace(name="a", frozen=frozen),), augment={})

    def building(context: int) -> None:
        encoder = SimpleNamespace(input=FrameInput(8, (0.0,) * 3, (1.0,) * 3, context=context))
        monkeypatch.setattr(looks, "build_encoder", lambda slot: encoder)

    building(context)
    check_passes(config(strides=strides), plan(frozen))  # type: ignore[arg-type]
    building(1)
    with refused("stride-with-context", slot="a"):
        check_passes(config(strides="1+2"), plan(False))  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [1, 2])
def test_weights_of_short_videos_add_to_the_number_of_strides(n: int) -> None:
    assert sum(weights_of([Pass(stride=3, phase=p) for p in range(3)], n)) == pytest.approx(1)
