"""Whole networks pickled by old releases of timm, as HSEmotion publishes them, against what this project reads from them.

    uv run python tests/benchmarks/old_timm_pickles.py DIR             # timm 0.5.4, 0.6.13, 0.9.2 with this torch
    uv run python tests/benchmarks/old_timm_pickles.py DIR --torch 2.0.1   # and each with a torch of its time

Installs each release of timm into a folder of its own (with ``--torch`` into an environment of its own) below DIR, lets
it build, randomise_parameters and pickle the networks of HSEmotion and write its own features and answers to fixed pictures; then
reads the pickle without any of that code and compares. Needs the package registry; the tests do not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import warnings
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from tabulate import tabulate

from plugins.encoders import hsemotion
from zoo.api import ModelCard
from zoo.weights.loading import file_sha256, load_pretrained, read

TIMM = ("0.5.4", "0.6.13", "0.9.2")
NETWORKS = {  # name here -> (name in old timm, how many answers)
    "enet_b0_8_best_vgaf": ("tf_efficientnet_b0_ns", 8),
    "enet_b0_8_va_mtl": ("tf_efficientnet_b0_ns", 10),
    "enet_b2_8": ("tf_efficientnet_b2_ns", 8),
    "enet_b2_7": ("tf_efficientnet_b2_ns", 7),
    "mobilevit_va_mtl": ("mobilevitv2_150", 10),
}

MAKER = r"""
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np, timm, torch
name, answers, size, old_form, target = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "old", sys.argv[5]
torch.manual_seed(0)
torch.set_num_threads(1)
try:
    net = timm.create_model(name, pretrained=False)
except RuntimeError:
    sys.exit(3)
if hasattr(net, "classifier"):
    net.classifier = torch.nn.Sequential(torch.nn.Linear(net.classifier.in_features, answers))
else:
    net.head.fc = torch.nn.Linear(net.head.fc.in_features, answers)
for module in net.modules():
    if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
        torch.nn.init.uniform_(module.weight, 0.5, 1.5)
        torch.nn.init.normal_(module.bias, std=0.3)
net.train()
with torch.no_grad():
    for _ in range(3):
        net(torch.randn(4, 3, 96, 96))  # statistics that are not 0 and 1
net.eval()
torch.save(net, target + ".pt", _use_new_zipfile_serialization=not old_form)
pictures = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
with torch.no_grad():
    logits = net(pictures)
    if hasattr(net, "classifier"):
        net.classifier = torch.nn.Identity()
    else:
        net.head.fc = torch.nn.Identity()
    features = net(pictures)
np.savez(target + ".npz", pictures=pictures.numpy(), logits=logits.numpy(), features=features.numpy())
print(torch.__version__, type(net).__module__, flush=True)
"""


def interpreter(folder: Path, release: str, torch_release: str | None) -> tuple[str, dict[str, str]]:
    """Make the surroundings in which ``import timm`` gives the old release: the python and its environment."""
    if torch_release is None:
        place = folder / f"timm-{release}"
        if not place.is_dir():
            _uv("pip", "install", "--python", sys.executable, "--target", str(place), "--no-deps", f"timm=={release}")
        return sys.executable, {**os.environ, "PYTHONPATH": str(place)}
    place = folder / f"timm-{release}-torch-{torch_release}"
    python = place / "bin" / "python"
    if not python.is_file():
        _uv("venv", "--python", "3.11", str(place))
        vision = {"2.0.1": "0.15.2"}.get(torch_release)
        wanted = [
            f"timm=={release}",
            f"torch=={torch_release}",
            "numpy<2",
            "safetensors",
            "huggingface-hub<1",
            "pyyaml",
        ]
        _uv("pip", "install", "--python", str(python), *wanted, f"torchvision=={vision}" if vision else "torchvision")
    return str(python), {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}


def _uv(*arguments: str) -> None:
    subprocess.run(["uv", *arguments, "--quiet"], check=True)


def compare(name: str, pickled: Path, known: dict[str, np.ndarray]) -> tuple[float, float]:
    """The largest difference of features and of answers between the old release and what is read from its pickle."""
    encoder = hsemotion.HsEmotion("face", name)
    mine = hsemotion.passport("face", name)
    given = ModelCard(pickled.name, file_sha256(pickled), "", "", path=str(pickled), adapt=mine.adapt)
    load_pretrained(encoder, given, cache=pickled.parent / "cache")
    table = read(pickled)
    weight, bias = (next(t for k, t in table.items() if k.endswith(end)) for end in _answers(table))
    with torch.no_grad():
        features = encoder.eval().encode(torch.from_numpy(known["pictures"]))
        logits = torch.nn.functional.linear(features, weight, bias)
    first, second = (
        float(np.abs(got.numpy() - known[key]).max()) for got, key in ((features, "features"), (logits, "logits"))
    )
    return first, second


def _answers(table: dict[str, torch.Tensor]) -> tuple[str, str]:
    head = "classifier.0" if "classifier.0.weight" in table else "head.fc"
    return f"{head}.weight", f"{head}.bias"


def todays(pickled: Path, known: dict[str, np.ndarray]) -> str:
    """What today's timm makes of the same pickle by running its code, in a word."""
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            net = torch.load(pickled, weights_only=False)  # made here, by this script
            gap = np.abs(net(torch.from_numpy(known["pictures"])).numpy() - known["logits"]).max()
        return f"{gap:.1e}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"[:70]


def main() -> None:
    """Make, read, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--torch", help="also with this release of torch")
    parser.add_argument("--timm", nargs="*", default=TIMM)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for torch_release in (None, chosen.torch) if chosen.torch else (None,):
        for release in chosen.timm:
            python, environment = interpreter(chosen.folder, release, torch_release)
            for name, (old_name, answers) in NETWORKS.items():
                for form in ("zip", "old"):
                    target = chosen.folder / f"{name}-{release}-{torch_release or 'here'}-{form}"
                    size = str(hsemotion.MODELS[name].size)
                    made = subprocess.run(
                        [python, "-c", MAKER, old_name, str(answers), size, form, str(target)],
                        env=environment,
                        capture_output=True,
                        text=True,
                        cwd=chosen.folder,
                    )
                    if made.returncode == 3:
                        continue  # this release has no such network
                    if made.returncode:
                        raise SystemExit(made.stderr)
                    known = dict(np.load(f"{target}.npz"))
                    pickled = Path(f"{target}.pt")
                    gaps = compare(name, pickled, known)
                    rows.append((release, made.stdout.split()[0], name, form, *gaps, todays(pickled, known)))
                    assert known["features"].std() > 0.01  # else no difference would mean nothing
                    pickled.unlink()
                    Path(f"{target}.npz").unlink()
    head = ["timm", "torch", "network", "form", "features", "answers", "today's timm running the pickle"]
    print(f"largest difference between old timm's output and ours (torch {torch.__version__}, random weights)\n")
    print(tabulate(rows, head, tablefmt="simple", floatfmt=".1e", disable_numparse=[0, 1]))


if __name__ == "__main__":
    main()
