"""`harness help`: topics that belong to no single command, and the help of any command. Needs no torch."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args, get_origin

from zoo.errors import UserError
from zoo.registry.suggestions import did_you_mean

WIDTH = 80
SECTIONS = ("train", "project", "features", "tta", "distill", "data")
TOP = ("merge",)
"""Top-level settings without an option of their own."""


class Topic(NamedTuple):
    """A summary for the list of topics, and a function that returns the text."""

    summary: str
    text: Callable[[], str]


BRANCHES = """\
--encoders is a comma-separated list of input branches. Each is one encoder on
one stream:

  STREAM[.TAG][=ENCODER[:ARGUMENT]]

STREAM    the input: face, portrait, body, context, frame, audio, text,
          landmarks or pose (`harness list streams`)
.TAG      a name of your own, for a second encoder on the same stream
ENCODER   the network that turns the stream into features (`harness list
          encoders`); without it, the recipe's (below)
ARGUMENT  a network or a file of the encoder, such as a model name of timm, of
          any characters but a comma (`harness info ENCODER`)

Examples:
  face                         the default encoder on face crops
  face,context,audio           three branches, each with its default encoder
  face=timm:resnet18           a network of timm
  face,face.b=timm:resnet18    two encoders on one stream
  face=fer                     an encoder that also predicts by itself
  text=hf:FacebookAI/roberta-base
                               a model of transformers on the words said

A branch is called STREAM or STREAM.TAG in settings and options too:

  --set encoder.face.b.pretrained=false
  --finetune face.b
  --drop face.b

An encoder with pretrained weights is frozen, and its features are cached;
--finetune trains it too, --adapt trains adapters in it. An encoder without
weights is always trained.

A stream without =ENCODER has the encoder of the recipe:

"""

DATA = """\
DIR is an Aff-Wild2 folder as the organisers ship it, of any edition, or a
folder like it:

  VA_Set/, EXPR_Set/, AU_Set/        annotations, each with Train_Set and
  (or ..._Challenge/)                Validation_Set, one text file per video
  cropped_aligned/VIDEO/00001.jpg    face crops, numbered by frame from 1
  VIDEO.mp4 (.avi, .mkv, ...)        raw videos, anywhere in the folder
  transcripts/VIDEO.srt              optional: the words said, for the stream
  (.vtt, .json, .csv)                text; .srt and .vtt also next to VIDEO.mp4
  groups.csv                         optional: video,group for related videos

A folder with crops is enough for the stream face, one with raw videos for audio
and frame. The streams portrait, body, context and pose also need boxes.

  harness data demo small            write a synthetic set to try things on
  harness data crop RAW --out DIR    make such a folder from raw videos
  harness data doctor DIR            list what is missing and what to do
  harness data boxes DIR             find the person in every frame
  harness data pack DIR              optional: decode every video only once
  harness run --data DIR --track va --encoders face,context

Without --data, `harness run` makes a synthetic demo set and uses it.
"""

SUBMIT = """\
Every run writes and verifies a submission if the data folder has the
organisers' test list. By hand:

  harness submit runs/first --zip
  harness submit runs/first --list trial-1.txt --out handed-in
  harness verify runs/first/submission --edition abaw10 --track va
  harness submissions runs

--list takes the rows and their order from the organisers' list or example file,
and --edition selects the file format (`harness info EDITION` shows an example).
Listed frames without a prediction are interpolated, and manifest.json counts
them. A list with videos that have no predictions is an error that names them.

`harness verify` shares no code with the writer. Its exit code is 0 if the file
is clean, 1 with every finding and its line if it is not, and 3 if nothing is
wrong but no list was given to check the rows against.

A table of another program has the columns video, frame (from 1) and the
predictions:

  harness submit --predictions table.csv --edition abaw10 --track va --out sent
"""

PLUGINS = """\
A plugin adds encoders, augmentations, fusions, heads, losses, post-processors,
detectors, loggers, corpora, streams or editions. It is a Python file, or an
installed package; the built-in blocks are plugins too.

  harness plugin new my-encoder --kind encoder --single-file
  harness plugin check my_encoder.py
  harness run --plugin my_encoder.py --encoders face=my-encoder,context

The first command writes a small plugin that works; change it. The second checks
that it keeps the rules, for example that padding and the other clips of a batch
never change a prediction. A package is found once it is installed:

  harness plugin new my-head --kind head
  uv pip install -e my-head
  harness list heads

A plugin file is code. A run or a recipe that names one uses it only if you name
it too, with --plugin FILE.
"""


def branches() -> str:
    """Return the grammar of --encoders, with the default encoders of the recipes for real data and the demo set."""
    from harness.config.recipe import default_encoders

    titles = {"default": "your own data, Aff-Wild2", "demo": "the synthetic demo set"}
    lines = []
    for recipe, title in titles.items():
        named = ", ".join(f"{stream}={encoder}" for stream, encoder in default_encoders(recipe).items())
        lines.append(f"{title} (recipe {recipe}):\n" + textwrap.fill(named, WIDTH - 4))
    return BRANCHES + textwrap.indent("\n".join(lines), "  ") + "\n"


def settings() -> str:
    """Return every key of ``--set``, from the schema of the configuration, and the keys of the blocks' options."""
    from harness.config.schema import RunConfig

    lines = [
        "--set KEY=VALUE changes a setting; it is repeatable. A recipe and the",
        "config.toml of a run hold the same keys. Other settings have options of their",
        "own (`harness run --help`).",
        "",
        "Options of the blocks in use (`harness info NAME` lists them):",
        "  encoder.BRANCH.X, augment.BRANCH.NAME.X, fusion.X, head.X, loss.NAME.X,",
        "  post.NAME.X",
    ]
    fields = RunConfig.model_fields
    for section in SECTIONS:
        model = fields[section].annotation
        lines += ["", f"[{section}]"]
        own = inspect.get_annotations(model)  # type: ignore[arg-type]
        named = list(model.model_fields.items())  # type: ignore[union-attr]
        # Inherited settings are the rarer ones, so they come last.
        for name, field in [*(f for f in named if f[0] in own), *(f for f in named if f[0] not in own)]:
            lines += _entry(f"{section}.{name}", field)
    lines += ["", "[top level]", *(line for name in TOP for line in _entry(name, fields[name]))]
    return "\n".join([*lines, "", "Examples:", "  harness run --set train.epochs=5 --set encoder.face.size=96", ""])


AUGMENT = """\
--augment changes the input of trained encoders at random, in training only:

  --augment [BRANCH=]NAME,NAME,...

NAME      an augmentation (`harness list augmentations`); they are applied in
          the given order
BRANCH    one input branch; without it, every trained branch whose input the
          augmentation can change
default   the usual set of the branch; this is used if --augment is not given
none      nothing

Examples:
  --augment face=flip,crop,colour --augment audio=gain,sound_noise
  --augment face=default,blur
  --augment none

Options of an augmentation (`harness info NAME` lists them):

  --set augment.face.crop.low=0.5
  --set augment.face.blur.p=0.1              probability that a clip is changed
  --set augment.face.colour.per_frame=true   a draw for every frame of a clip

There is one draw for a clip, from the seed, the epoch and the clip, whatever
the batch and the number of processes. Frozen encoders are not augmented, unless
--set features.views=K computes the features of K augmented views of pictures.

  harness data look DIR      writes a page with pictures as they are drawn
"""

ADAPT = """\
--adapt trains adapters in place of the weights of a pretrained encoder (LoRA):

  --adapt BRANCH=lora[:OPTION=VALUE,OPTION=VALUE,...]

Options:
%s

Linear layers and dense convolutions can be adapted. Others are left as they
are; a run and `harness check` name them. Adapters are trained with the rate
train.encoder_lr (without it train.lr), everything else of the encoder stays as
it was loaded. The run's weights hold the adapters only, and name their base.

Examples:
  --adapt face=lora
  --adapt face=lora:rank=16,alpha=32,targets=attention --adapt audio=lora
  --adapt 'face=lora:targets=blocks\\.(10|11)\\.'

  harness weights merge RUN merged.safetensors     writes an encoder with its
                                                   adapters as plain weights
"""


def adapt() -> str:
    """Return the grammar of --adapt, with the options of adapters."""
    from zoo.registry.lora import LORA

    rows = [
        line
        for name, option in LORA.options.items()
        for line in textwrap.wrap(
            f"{option.help}" + ("" if option.default is None else f" ({str(option.default).lower()})"),
            width=78,
            initial_indent=f"  {name:<9} ",
            subsequent_indent=" " * 12,
        )
    ]
    return ADAPT % "\n".join(rows)


TOPICS = {
    "branches": Topic("the grammar of --encoders", branches),
    "settings": Topic("the keys of --set, with defaults", settings),
    "adapt": Topic("the grammar of --adapt", adapt),
    "augment": Topic("the grammar of --augment", lambda: AUGMENT),
    "data": Topic("data folders: their layout, and how to make one", lambda: DATA),
    "submit": Topic("how submissions are written and verified", lambda: SUBMIT),
    "plugins": Topic("how to write, check and use a plugin", lambda: PLUGINS),
}
OTHER_NAMES = {
    "lora": "adapt",
    "adapters": "adapt",
    "slots": "branches",
    "slot": "branches",
    "encoders": "branches",
    "set": "settings",
    "augmentations": "augment",
}
"""Words that people try -> the topic, if there is no command of that name."""


def show(words: Sequence[str], root: Any) -> None:
    """Print a topic, the help of a command, or the list of topics.

    Args:
        words: A topic, or a command with its subcommand; none for the list.
        root: The context of the program, of typer's own class.

    Raises:
        UserError: There is no such topic or command.
    """
    if not words:
        print(_list())
    elif len(words) == 1 and words[0] not in root.command.commands and words[0] in OTHER_NAMES:
        print(TOPICS[OTHER_NAMES[words[0]]].text(), end="")
    elif len(words) == 1 and words[0] in TOPICS:
        print(TOPICS[words[0]].text(), end="")
        if words[0] in root.command.commands:
            print(f"\n`harness {words[0]} --help` shows the options and commands.")
    else:
        print(_command_help(words, root))


def _list() -> str:
    rows = [f"  harness help {name:<10} {topic.summary}" for name, topic in TOPICS.items()]
    more = ["  harness help COMMAND    the help of a command, such as `harness help data pack`"]
    return "\n".join(["Topics:", *rows, "", "Commands:", *more])


def _command_help(words: Sequence[str], root: Any) -> str:
    context = root
    for word in words:
        known = getattr(context.command, "commands", {})
        if word not in known:
            names = [*known, *(TOPICS if context is root else ())]
            raise UserError("help-unknown", name=" ".join(words), hint=did_you_mean(word, names))
        context = type(root)(known[word], info_name=word, parent=context)
    return str(context.get_help())


def _entry(key: str, field: Any) -> Iterator[str]:
    notes = [f"default: {_shown(field.default)}", *_bounds(field.metadata)]
    yield f"  {key}={_values(field.annotation)}"
    text = f"{field.description}  [{'; '.join(notes)}]"
    yield textwrap.fill(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _values(annotation: Any) -> str:
    """Return what a setting takes: ``N``, ``X``, ``PATH``, or its choices."""
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    names = {int: "N", float: "X", bool: "true|false"}
    return names.get(annotation) or next((_values(part) for part in get_args(annotation)), "PATH")


def _shown(value: Any) -> str:
    if value is None or value == ():
        return "none"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _bounds(metadata: Sequence[Any]) -> Iterator[str]:
    """Yield the bounds of a number in words, from the annotations that pydantic keeps."""
    for name, words in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
        for one in metadata:
            if (bound := getattr(one, name, None)) is not None:
                yield f"{words} {bound:g}"
