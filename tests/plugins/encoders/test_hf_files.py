"""Files of models of transformers: whose weights are loaded, what pins them, and what is refused before training."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

transformers = pytest.importorskip("transformers", reason="transformers is an extra (hf)")

import huggingface_hub  # noqa: E402
from huggingface_hub import errors  # noqa: E402

from harness.features.cache.key import encoder_identity  # noqa: E402
from plugins.encoders import _hf_files, hf  # noqa: E402
from plugins.encoders._hf_cards import KNOWN, UNKNOWN  # noqa: E402
from plugins.encoders._hf_families import FAMILIES  # noqa: E402
from plugins.encoders._hf_files import CONFIG, EXAMPLES, PREPROCESSORS, SHARDS, WEIGHTS, built_from, model_folder  # noqa: E402
from tests.support import tiny_hf  # noqa: E402
from tests.support.refusals import Part, refused  # noqa: E402
from zoo.api import Answer  # noqa: E402
from zoo.model.model import build_encoder  # noqa: E402
from zoo.model.probing import meta_or_real, probe  # noqa: E402
from zoo.registry.plan import make_plan  # noqa: E402
from zoo.registry.registry import load as load_registry  # noqa: E402
from zoo.testing import no_network  # noqa: E402
from zoo.weights.cards import find, seen_affwild2  # noqa: E402
from zoo.weights.loading import convert, load_pretrained  # noqa: E402

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OWNER = "someone/tiny-vit"
Copy = Callable[..., Path]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("hf")

    @cache
    def folder(name: str) -> Path:
        tiny_hf.save(name, root / name)
        return root / name

    return folder


@pytest.fixture
def copy(saved, tmp_path) -> Copy:
    """Return a copy of a model's folder, to be spoilt."""
    return lambda name, to="copy": Path(shutil.copytree(saved(name), tmp_path / to))


@pytest.fixture
def hub(saved, tmp_path, monkeypatch) -> Path:
    """A cache of the hub with one model, laid out as huggingface_hub does, and no network."""
    root = tmp_path / "hub"
    entry = root / "models--someone--tiny-vit"
    (entry / "blobs").mkdir(parents=True)
    (entry / "refs").mkdir()
    (entry / "refs" / "main").write_text(COMMIT)
    snapshot = entry / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for file in saved("vit").iterdir():
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, entry / "blobs" / digest)
        (snapshot / file.name).symlink_to(Path("../../blobs") / digest)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(root))
    model_folder.cache_clear()
    yield root
    model_folder.cache_clear()


def load(folder: Path | str, stream: str = "face", **options: Any) -> torch.nn.Module:
    encoder = hf.build(stream, str(folder), **options).eval()
    load_pretrained(encoder, hf.passport(stream, str(folder), **options))
    return encoder


def slot(argument: str, stream: str = "face", **options: Any):
    plan = make_plan(
        load_registry(),
        encoders=f"{stream}=hf:{argument}",
        fusion="concat",
        head="mlp",
        answers=(Answer("valence", "value", -5),),
        options={f"encoder.{stream}.{name}": value for name, value in options.items()},
    )
    return plan.slots[0]


def identity(argument: str, **options: Any) -> tuple[object, ...]:
    found = slot(argument, **options)
    assert found.frozen
    return encoder_identity(found, find(found.passport), 32, "cpu")


# --- weights ----------------------------------------------------------------------------------------------------------


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    return all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in one.state_dict().items())


def settle(path: Path, **settings: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, {"format": "pt"})


def test_a_prefix_of_another_program_is_taken_off(copy) -> None:
    """transformers loads nothing from such a file, and says nothing."""
    plain = copy("wavlm", "plain")
    other = copy("wavlm", "other")
    rewrite(
        other,
        lambda state: {f"ssl_model.{name}": tensor for name, tensor in state.items()} | {"head.weight": torch.ones(3)},
    )
    _, info = transformers.WavLMModel.from_pretrained(other, output_loading_info=True)
    assert info["missing_keys"]
    one, two = load(plain, "audio"), load(other, "audio")
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name


def test_a_tensor_that_is_missing_is_refused(copy) -> None:
    folder = copy("vit")
    rewrite(folder, lambda state: {n: t for n, t in state.items() if n != "vit.embeddings.cls_token"})
    with refused("plugin-error", match=r"1 tensors of ViTModel are not in the file.*\(embeddings.cls_token\)"):
        load(folder)


def test_weights_of_another_model_are_refused(saved, copy) -> None:
    folder = copy("vit")
    shutil.copy(saved("wavlm") / WEIGHTS, folder / WEIGHTS)
    with refused("plugin-error", match="the weights do not fit .*get config.json and weights of one model"):
        load(folder)


def test_a_tensor_of_another_shape_is_refused(copy) -> None:
    folder = copy("dinov2")
    rewrite(folder, lambda state: {n: t[:8] if n.endswith("layernorm.weight") else t for n, t in state.items()})
    with refused("plugin-error", match="layernorm.weight"):
        load(folder)


@pytest.mark.parametrize("kind", [torch.int8, torch.float8_e4m3fn])
@pytest.mark.parametrize("told", [True, False])
def test_codes_of_quantised_weights_are_refused(copy, kind, told) -> None:
    """transformers would read them as weights, or ask for a library that decodes them."""
    folder = copy("vit")
    rewrite(folder, lambda state: {n: t.to(kind) if "attention" in n and t.ndim == 2 else t for n, t in state.items()})
    if told:
        settle(folder / CONFIG, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    with refused("weights-quantised", file=folder / WEIGHTS, count=12, first=Part("attention")):
        load(folder)


def test_codes_of_other_networks_do_no_harm(copy) -> None:
    folder = copy("vit")
    rewrite(folder, lambda state: {**state, "other.weight": torch.ones(2, 2, dtype=torch.int8)})
    assert same(load(folder), load(copy("vit", "plain")))


def beside(own: dict[str, torch.Tensor], teacher: float) -> dict[str, torch.Tensor]:
    """Return the tensors of a student, and those of a teacher that differ by a number."""
    return {f"student.{n}": t for n, t in own.items()} | {f"teacher.{n}": t + teacher for n, t in own.items()}


def test_one_of_two_networks_in_a_file_is_not_chosen(copy) -> None:
    """Two that are equal are one."""
    twice, two = copy("wavlm", "twice"), copy("wavlm", "two")
    rewrite(twice, lambda state: beside(state, 0.0))
    assert same(load(twice, "audio"), load(copy("wavlm", "plain"), "audio"))
    rewrite(two, lambda state: beside(state, 1.0))
    with refused("plugin-error", match=r"whole network as student\.\* and, with other weights, as teacher\.\*"):
        load(two, "audio")


def test_weights_in_several_files_are_one(copy) -> None:
    whole, parts = copy("vit", "whole"), copy("vit", "parts")
    state = load_file(parts / WEIGHTS)
    (parts / WEIGHTS).unlink()
    names = sorted(state)
    files = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in files.items():
        save_file({name: state[name] for name in part}, parts / file, {"format": "pt"})
    (parts / SHARDS).write_text(json.dumps({"weight_map": {n: f for f, part in files.items() for n in part}}))
    one, two = load(whole), load(parts)
    assert all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in one.state_dict().items())
    before = identity(str(parts))
    save_file({n: state[n] + 1 for n in names[::2]}, parts / "model-00001-of-00002.safetensors", {"format": "pt"})
    assert identity(str(parts)) != before


# --- what pins them ---------------------------------------------------------------------------------------------------


def test_the_key_of_cached_features_has_the_configuration(copy) -> None:
    one, two, three = copy("vit", "one"), copy("vit", "two"), copy("vit", "three")
    change = json.loads((two / CONFIG).read_text())
    (two / CONFIG).write_text(json.dumps({**change, "layer_norm_eps": 1e-3}))
    settings = json.loads((three / "preprocessor_config.json").read_text())
    (three / "preprocessor_config.json").write_text(json.dumps({**settings, "image_mean": [0.1, 0.1, 0.1]}))
    keys = {identity(str(folder))[5:] for folder in (one, two, three)}  # without the argument
    assert len({identity(str(folder)) for folder in (one, two, three)}) == 3
    assert len({(key[-1], *key) for key in keys}) == 3
    digests = {slot(str(folder)).passport.built_from for folder in (one, two, three)}
    assert len(digests) == 3


def test_the_key_of_cached_features_has_the_library_s_version(saved, monkeypatch) -> None:
    folders = [saved(name) for name in ("vit", "ast")]
    before = [built_from(folder) for folder in folders]
    monkeypatch.setattr(_hf_files, "version", lambda name: "5.99.0" if name == "transformers" else version(name))
    assert all(built_from(folder) != old for folder, old in zip(folders, before, strict=True))

    def without_torchaudio(name: str) -> str:
        if name == "torchaudio":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(_hf_files, "version", without_torchaudio)  # the spectrogram is then computed in NumPy
    assert [built_from(folder) == old for folder, old in zip(folders, before, strict=True)] == [True, False]


def test_the_key_does_not_depend_on_the_place_of_a_copy(copy) -> None:
    one, two = slot(str(copy("vit", "one"))).passport, slot(str(copy("vit", "two"))).passport
    assert one.built_from == two.built_from


def test_a_model_of_the_hub_is_pinned_to_its_commit(hub) -> None:
    with no_network():
        card = slot(OWNER).passport
    assert card.source == f"huggingface.co/{OWNER} at {COMMIT}"
    assert card.sha256 == hashlib.sha256(Path(card.path).read_bytes()).hexdigest()
    assert card.license == UNKNOWN
    assert seen_affwild2(card) is None
    assert replace(slot(OWNER, revision=COMMIT).passport, adapt=None) == replace(card, adapt=None)
    load(OWNER)


def test_without_a_network_a_missing_model_is_one_line(hub, monkeypatch) -> None:
    def away(*args: Any, **kwargs: Any):
        if kwargs.get("local_files_only"):
            raise errors.LocalEntryNotFoundError("nothing here")
        raise errors.LocalEntryNotFoundError("no connection\nand a long tail")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", away)
    with refused(
        "plugin-error", match=r"hf:facebook/dinov2-smal is not on this machine .*facebook/dinov2-small.*hf:FOLDER"
    ) as caught:
        slot("facebook/dinov2-smal")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (errors.GatedRepoError, "is gated: accept its licence"),
        (errors.RepositoryNotFoundError, "no such public model: did you mean"),
        (errors.RevisionNotFoundError, "no such revision"),
    ],
)
def test_what_the_hub_refuses_is_said(hub, monkeypatch, kind, words) -> None:
    import httpx2 as httpx

    def refuse(*args: Any, **kwargs: Any):
        if kwargs.get("local_files_only"):
            raise errors.LocalEntryNotFoundError("nothing here")
        raise kind("refused", response=httpx.Response(403, request=httpx.Request("GET", "https://example.org")))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with refused("plugin-error", match=words):
        slot("facebook/dinov3-vitb16", revision="v9")


def test_only_safe_files_are_fetched(hub, monkeypatch) -> None:
    asked: list[dict[str, Any]] = []

    def fetch(name: str, **given: Any) -> str:
        asked.append(given)
        raise errors.LocalEntryNotFoundError("not here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with refused("plugin-error"):
        slot("some/other")
    assert all(set(given["allow_patterns"]) == {"*.json", "*.txt", "*.model", "*.safetensors"} for given in asked)
    assert [given.get("local_files_only", False) for given in asked] == [True, False]


def test_a_model_of_the_hub_without_safetensors_is_one_line(hub, monkeypatch) -> None:
    folder = model_folder(OWNER)
    (folder / WEIGHTS).unlink()
    model_folder.cache_clear()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    with refused("plugin-error", match="the hub has none at this revision: .*harness weights convert"):
        slot(OWNER)


def away(*_: Any, **__: Any) -> str:
    raise errors.LocalEntryNotFoundError("no connection")


@pytest.mark.parametrize("lacks", ["preprocessor_config.json", "model-00002-of-00002.safetensors"])
def test_a_copy_that_another_program_left_incomplete_is_fetched(hub, saved, monkeypatch, lacks) -> None:
    folder = model_folder(OWNER)
    model_folder.cache_clear()
    if "safetensors" in lacks:
        (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
        (folder / SHARDS).write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": lacks}}))
    else:
        (folder / lacks).unlink()
    asked: list[bool] = []

    def fetch(_: str, **given: Any) -> str:
        asked.append(given.get("local_files_only", False))
        return str(folder if asked[-1] else saved("vit"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert model_folder(OWNER) == saved("vit")
    assert asked == [True, False]
    model_folder.cache_clear()
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda *_, **g: str(folder) if g.get("local_files_only") else away()
    )
    if "safetensors" in lacks:
        with refused("plugin-error", match="is not on this machine and cannot be fetched"):
            model_folder(OWNER)
    else:
        assert model_folder(OWNER) == folder


def test_a_text_model_is_complete_with_its_tokenizer(hub, monkeypatch) -> None:
    folder = model_folder(OWNER)
    asked: list[bool] = []

    def fetch(_: str, **given: Any) -> str:
        asked.append(given.get("local_files_only", False))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    model_folder(OWNER, None, "text")
    assert asked == [True, False]
    (folder / "tokenizer.json").write_text("{}")
    model_folder.cache_clear()
    model_folder(OWNER, None, "text")
    assert asked == [True, False, True]


def test_a_model_that_is_a_pickle_on_the_hub_is_no_example(hub, monkeypatch) -> None:
    assert not any(KNOWN[name].pickled for name in EXAMPLES.values())
    monkeypatch.setattr(huggingface_hub, "snapshot_download", away)
    with refused("plugin-error", match=r"convert the pickle, .* with `harness weights convert` and write hf:FOLDER"):
        slot("microsoft/wavlm-base-plus", "audio")


def test_a_name_that_the_hub_cannot_have_is_one_line(hub) -> None:
    with refused("plugin-error", match="hf:someone/a--b is not a valid name on the hub"):
        slot("someone/a--b")


def test_every_known_model_says_its_licence() -> None:
    assert len(KNOWN) >= 20
    for name, card in KNOWN.items():
        assert card.license, name
        assert card.trained_on, name


# --- bad input --------------------------------------------------------------------------------------------------------


def test_models_that_cannot_be_found_are_named(tmp_path) -> None:
    with refused("plugin-error", match="needs a model: write text=hf:FacebookAI/roberta-base"):
        hf.passport("text", None)
    with refused("plugin-error", match=r"hf:dinov2-smal is neither .*did you mean 'dinov2-small'"):
        slot("dinov2-smal")
    with refused("plugin-error", match="there is no such folder"):
        slot(f"{tmp_path}/nowhere")
    (tmp_path / "empty").mkdir()
    with refused("plugin-error", match="has no config.json with a model_type"):
        slot(f"{tmp_path}/empty")


def test_an_unknown_name_of_an_encoder_asks_no_hub(hub) -> None:
    """`--encoders face=resnet` looks through all encoders' models for its meaning."""
    with no_network(), refused("block-unknown"):
        make_plan(load_registry(), encoders="face=nothing-like-it", fusion="concat", head="mlp", answers=())


def test_models_that_do_not_fit_are_refused(copy) -> None:
    folder = copy("vit")
    for stream, words in (
        ("audio", "for face, portrait, body, context, frame, not for audio"),
        ("text", "not for text"),
    ):
        with refused("plugin-error", match=words):
            slot(str(folder), stream)
    with refused("plugin-error", match="is a folder, which has no revisions"):
        slot(str(folder), revision="main")
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, "model_type": "dinov9"}))
    with refused("plugin-error", match="models of type 'dinov9' cannot be used: did you mean 'dinov2'"):
        slot(str(folder))
    (folder / CONFIG).write_text(json.dumps({**config, "hidden_size": "wide"}))
    with refused("plugin-error", match="transformers rejects it"):
        hf.build("face", str(folder))
    (folder / CONFIG).write_text("{")
    with refused("plugin-error", match="not a JSON file"):
        slot(str(folder))
    (folder / CONFIG).write_text("[]")
    with refused("plugin-error", match="must hold an object, got a list"):
        slot(str(folder))


@pytest.mark.parametrize(
    ("name", "file", "settings"),
    [
        ("vit", CONFIG, {"num_channels": 1}),
        ("vit", CONFIG, {"hidden_size": -16}),
        ("vit", CONFIG, {"attn_implementation": "flash_attention_2"}),
        ("whisper", CONFIG, {"num_mel_bins": 128}),
        ("whisper", PREPROCESSORS[0], {"chunk_length": 1}),
        ("ast", PREPROCESSORS[0], {"max_length": 64}),
        ("roberta", CONFIG, {"max_position_embeddings": 2}),
        ("roberta", CONFIG, {"pad_token_id": 500}),
    ],
)
def test_settings_that_the_network_fails_with_are_one_line(copy, name, file, settings) -> None:
    folder = copy(name)
    settle(folder / file, **settings)
    stream = "text" if name in tiny_hf.TEXT else "audio" if name in tiny_hf.SOUND else "face"
    found = slot(str(folder), stream)
    with refused("encoder-files-fail", folder=folder):
        probe(meta_or_real(lambda: build_encoder(found)), found)


def test_faults_of_other_encoders_keep_their_traceback(saved) -> None:
    found = slot(str(saved("vit")))
    encoder = meta_or_real(lambda: build_encoder(found))
    encoder.described_in, encoder.net = "", None
    with pytest.raises(TypeError):
        probe(encoder, found)


def test_pickled_weights_are_refused_and_can_be_converted(copy) -> None:
    folder, plain = copy("vit"), copy("vit", "plain")
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    with refused("plugin-error", match="harness weights convert .*/pytorch_model.bin .*/model.safetensors"):
        slot(str(folder))
    convert(folder / "pytorch_model.bin", folder / WEIGHTS)
    one, two = load(folder), load(plain)
    assert all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in one.state_dict().items())
    (folder / "pytorch_model.bin").unlink()
    (folder / WEIGHTS).unlink()
    with refused("plugin-error", match=f"has no {WEIGHTS}"):
        slot(str(folder))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("vit", {"layer": "4"}, "1 to 3 or a range 1:3, not '4'"),
        ("vit", {"layer": "2:1"}, "not '2:1'"),
        ("vit", {"size": 33}, "multiple of the model's patches of 8"),
        ("vit", {"pool": "pooler"}, "it has no pooler"),
        ("vit", {"window": 3.0}, "option 'window' has no effect on a model of type 'vit'"),
        ("siglip", {"pool": "cls"}, "it has no class token"),
        ("vit", {"pool": "last"}, "the last token is for text"),
        ("clip", {"pool": "pooler", "layer": "1"}, "its pooler is after the last layer"),
        ("convnextv2", {"layer": "1"}, "stages instead of layers"),
        ("videomae", {"stride": 0}, "stride must be at least 1"),
        ("videomae", {"size": 64}, "takes pictures of 32 pixels only"),
        ("wavlm", {"window": 0.1}, "window must be 0.2 to 60 s"),
        ("wavlm", {"pool": "mean"}, "option 'pool' has no effect"),
        ("whisper", {"window": 3.0}, "window must be 0.2 to 2 s"),
        ("roberta", {"window": 0.49}, "window must be from 0.5"),
        ("qwen3", {"pool": "cls"}, "use mean or last"),
    ],
)
def test_options_that_cannot_be_are_refused(saved, name, options, words) -> None:
    stream = "text" if name in tiny_hf.TEXT else "audio" if name in tiny_hf.SOUND else "face"
    with refused("plugin-error", match=words):
        hf.build(stream, str(saved(name)), **options)


def test_preprocessing_that_says_nothing_is_refused(copy) -> None:
    folder = copy("vit")
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "size": {"height": "big"}}))
    with refused("plugin-error", match="size must be a number of pixels"):
        hf.build("face", str(folder))
    path.write_text(json.dumps({**settings, "rescale_factor": None}))
    with refused("plugin-error", match="rescale_factor must be a number"):
        hf.build("face", str(folder))
    path.write_text(json.dumps({**settings, "image_std": [0, 0, 0]}))
    with refused("plugin-error", match="std above 0"):
        hf.build("face", str(folder))
    path.unlink()
    with refused("plugin-error", match="says how pictures are normalised"):
        hf.build("face", str(folder))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("vit", "image_processor"),
        ("videomae", "video_processor"),
        ("wavlm", "feature_extractor"),
        ("ast", "feature_extractor"),
    ],
)
def test_settings_in_the_file_of_a_whole_processor_are_read(saved, copy, name, part) -> None:
    """transformers 5 writes only this file for a processor, such as Wav2Vec2Processor."""
    stream = "audio" if name in tiny_hf.SOUND else "face"
    folder = copy(name)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": "Some", part: settings}))
    assert hf.build(stream, str(folder)).input == hf.build(stream, str(saved(name))).input
    settings.pop("sampling_rate" if stream == "audio" else "size")
    (folder / "processor_config.json").write_text(json.dumps({part: settings}))
    with refused("plugin-error", match=r"processor_config.json(: size| must give a sampling_rate)"):
        hf.build(stream, str(folder))


def test_a_tokenizer_of_another_model_is_refused(copy) -> None:
    folder = copy("roberta")
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, "vocab_size": 10}))
    with refused("plugin-error", match=r"the tokenizer has \d+ tokens, but the network only 10"):
        hf.build("text", str(folder))
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with refused("plugin-error", match="has no tokenizer.json"):
        hf.build("text", str(folder))


def test_without_transformers_the_message_says_what_to_install_and_nothing_is_fetched(hub, saved, monkeypatch) -> None:
    folder = saved("vit")
    monkeypatch.setitem(sys.modules, "transformers", None)
    fetched = []

    def fetch(name: str, **given: Any) -> str:
        if given.get("local_files_only"):
            raise FileNotFoundError(name)
        fetched.append(name)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    for argument in (str(folder), "owner/name"):
        with refused("plugin-error", match=r"`uv sync --extra hf`, or pip install 'abaw-zoo\[hf\]'"):
            hf.build("face", argument)
    assert fetched == []


def test_every_family_has_a_tiny_model() -> None:
    """Each is compared with transformers in test_hf.py."""
    alone = {"clip_vision_model", "siglip_vision_model"}  # parts of clip and siglip
    assert {"ast" if name == "audio-spectrogram-transformer" else name for name in FAMILIES} - alone <= {
        *tiny_hf.MODELS
    }
