"""`harness pretrain`, and `harness data corpus`, which makes pictures to try it with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.data import app
from harness.cli.help import examples
from harness.cli.options import Augment, Device, Devices, Loss, Nodes, Plugins, Precision, Sets
from zoo.errors import UserError
from zoo.text import visible

__all__ = ["app", "data_corpus", "pretrain"]


@examples(
    "harness pretrain --corpus affectnet --data DIR --encoder timm:resnet18 --targets expr,va",
    "harness pretrain --corpus rafdb --data DIR --encoder timm:resnet18 --set encoder.face.size=224",
    "harness pretrain --resume pretrained/affectnet-timm",
)
def pretrain(
    corpus: Annotated[
        str | None, typer.Option(metavar="NAME", help="train on this corpus (`harness list corpora`)")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="read the corpus here")] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="ENCODER[:ARGUMENT]",
            help="train this encoder of pictures: timm:NAME or checkpoint:FILE",
            show_default="timm:resnet18",
        ),
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="learn these, comma-separated: expr, va", show_default="all of the corpus"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write the folder into this one", show_default="pretrained")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="name the folder", show_default="CORPUS-ENCODER")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="train for N epochs", show_default="2")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="seed all random numbers", show_default="0")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="leave out and count what is missing or damaged, instead of refusing it")
    ] = False,
    augment: Augment = None,
    loss: Loss = None,
    sets: Sets = None,
    plugin: Plugins = None,
    resume: Annotated[Path | None, typer.Option(metavar="DIR", help="continue this pretraining")] = None,
    device: Device = None,
    devices: Devices = None,
    nodes: Nodes = None,
    precision: Precision = None,
) -> None:
    """Train an encoder on a corpus of labelled pictures.

    Ends with a file for --encoders face=checkpoint:FILE and a model card.
    """
    from harness.pretraining import run as command
    from harness.pretraining.request import Request, configured, parse_targets
    from zoo.registry.tracks import load_plugins

    machines = {"devices": devices, "nodes": nodes}
    if resume is not None:
        others = (corpus, encoder, targets, out, name, epochs, seed, augment, loss, sets, plugin, device, precision)
        if partial or any(value is not None for value in others):
            raise UserError("pretrain-resume-mixed")
        command.resume(resume, machines, data=data)
        return
    files = [str(path) for path in plugin or []]
    registry = load_plugins(files)
    if corpus is None or data is None:
        raise UserError("pretrain-what", names=", ".join(registry.names("corpora")))
    spec = registry.get("corpora", corpus)
    chosen = parse_targets(targets if targets is not None else ",".join(spec.targets))
    flags = {
        "seed": seed,
        "device": device,
        "loss": loss or None,
        "augment": augment or None,
        "plugin": files or None,
        **machines,
    }
    more = ([f"train.epochs={epochs}"] if epochs else []) + ([f"train.precision={precision}"] if precision else [])
    config, options = configured(encoder or "timm:resnet18", chosen, flags, [*more, *(sets or [])])
    command.pretrain(
        Request(corpus, str(data), chosen, partial, options), config, out=out or Path("pretrained"), name=name
    )


@app.command("corpus")
@examples("harness data corpus affectnet small", "harness data corpus affectnet small --form npy --pictures 400")
def data_corpus(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a corpus (`harness list corpora`)")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="the folder to write")],
    form: Annotated[
        str | None, typer.Option(metavar="FORM", help="one of its published forms", show_default="the first")
    ] = None,
    pictures: Annotated[int, typer.Option(min=20, help="draw N pictures")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="draw other pictures")] = 0,
    plugin: Plugins = None,
) -> None:
    """Write made-up pictures in the layout of a corpus.

    `harness pretrain` can be tried on them.
    """
    from harness.data.synthetic.corpus_faces import make_corpus
    from zoo.registry.tracks import load_plugins

    spec = load_plugins([str(path) for path in plugin or []]).get("corpora", name)
    made = make_corpus(folder, spec, form, pictures, seed)
    print(visible(f"written: {folder}, {pictures:,} made-up pictures in the form {made} of {spec.data}"))
