"""Write the pages of the site that are generated from the code: docs/blocks/*.md and docs/assets/*.svg.

uv run python scripts/docs_pages.py            # write them
uv run python scripts/docs_pages.py --check    # exit code 1 if one differs from the code
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from harness.io.atomic import atomic
from zoo import api
from zoo.registry.plan import all_options
from zoo.registry.registry import load

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
KINDS = {
    "encoders": ("Encoders", "An encoder turns one stream into features per video frame: `--encoders face=NAME`."),
    "augmentations": (
        "Augmentations",
        "An augmentation changes at random the input of a trained encoder, or that of a frozen one for its augmented "
        "views (`features.views`): `--augment face=NAME,NAME`.",
    ),
    "fusions": ("Fusions", "A fusion brings the input branches together: `--fusion NAME`."),
    "heads": ("Heads", "A head is the temporal model: `--head NAME`."),
    "losses": ("Losses", "A loss trains one kind of prediction: `--loss NAME` replaces the default of its kind."),
    "postprocessors": ("Post-processors", "Post-processors work on predictions, in order: `--post NAME,NAME`."),
    "loggers": ("Loggers", "A logger notes the course of a training: `--logger NAME,NAME`."),
    "detectors": ("Detectors", "A detector finds faces: `harness data crop --detector NAME`."),
    "corpora": ("Corpora", "A corpus of labelled pictures: `harness pretrain --corpus NAME`."),
}


def pages() -> dict[Path, str]:
    """Return every generated file, by its path."""
    found = {DOCS / "blocks" / f"{kind}.md": blocks_page(kind) for kind in KINDS}
    found[DOCS / "blocks" / "editions.md"] = editions_page()
    found[DOCS / "blocks" / "index.md"] = index_page()
    found[DOCS / "assets" / "pipeline.svg"] = pipeline()
    found[DOCS / "assets" / "layers.svg"] = layers()
    return found


def blocks_page(kind: str) -> str:
    """Return the page of the blocks of a kind, each with its summary, paper, licence and options."""
    title, intro = KINDS[kind]
    lines = [f"# {title}", "", intro, "", "This page is generated from the registered blocks.", ""]
    scores, costs = measured(kind, 2), costs_of(kind)
    if scores:
        lines += ["Mean CCC is that of [one measurement on the synthetic set](measured.md).", ""]
    specs = [entry.spec for entry in load().entries(kind)]
    rows = [[f"[`{s.name}`](#{s.name})", s.summary, *([scores.get(s.name, "")] if scores else [])] for s in specs]
    lines += table(["name", "what it is", *(["mean CCC, synthetic"] if scores else [])], rows)
    for spec in specs:
        lines += ["", f"## {spec.name}", "", spec.summary, "", *facts(kind, spec)]
        lines += [f"- Cost: {cost}" for cost in costs.get(spec.name, ())]
        options = options_shown(kind, spec)
        if options:
            lines += ["", *table(["option", "default", "meaning"], map(option_row, options.items()))]
    return "\n".join(lines) + "\n"


def facts(kind: str, spec: Any) -> list[str]:
    """Return the other facts in a spec, a line each."""
    found = {
        "Paper": spec.paper,
        "Licence": spec.license,
        "Streams": ", ".join(f"`{name}`" for name in getattr(spec, "streams", ())),
        "Argument": getattr(spec, "argument", ""),
        "Predictions": ", ".join(getattr(spec, "kinds", ())) if kind in ("losses", "postprocessors") else "",
        "Names": ", ".join(f"`{name}`" for name in getattr(spec, "names", ())),
        "Changes": getattr(spec, "kind", "").replace("frames", "pictures") if kind == "augmentations" else "",
        "In the default set": "yes" if kind == "augmentations" and spec.default else "",
        "Targets": ", ".join(f"`{name}`" for name in getattr(spec, "targets", ())),
        "Parts": getattr(spec, "split", ""),
        "Terms of the data": getattr(spec, "terms", ""),
        "Published forms": ", ".join(f"`{name}`" for name in getattr(spec, "forms", ())),
        "Predicts without training": "yes" if getattr(spec, "scores", None) else "",
    }
    return [f"- {name}: {cell(value)}" for name, value in found.items() if value]


def options_shown(kind: str, spec: Any) -> Mapping[str, api.Option]:
    """Return a block's own options; of an augmentation also those that all of its kind of input have."""
    if kind != "augmentations":
        own: Mapping[str, api.Option] = spec.options
        return own
    return {name: o for name, o in all_options(spec, kind).items() if name != "per_frame" or spec.kind == "frames"}


def option_row(item: tuple[str, api.Option]) -> list[str]:
    """Return the table row of one option: its name, its default with the choices, its meaning."""
    name, option = item
    default = "none" if option.default is None else f"`{shown(option.default)}`"
    choices = f" (one of {', '.join(f'`{shown(c)}`' for c in option.choices)})" if option.choices else ""
    return [f"`{name}`", default, f"{option.help}{choices}"]


def shown(value: Any) -> str:
    """Format a value as it is typed after ``--set KEY=``."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(shown, value)) if isinstance(value, tuple) else str(value)


def editions_page() -> str:
    """Return the page of the tracks of every edition."""
    lines = ["# Editions", "", "`--edition NAME --track TRACK`; `harness info NAME` shows all that is known.", ""]
    rows = []
    for entry in sorted(load().entries("editions"), key=lambda entry: int(entry.spec.name.removeprefix("abaw"))):
        spec = entry.spec
        for track in spec.tracks:
            classes = next((str(len(a.classes)) + " classes" for a in track.answers if a.classes), "")
            what = f"{len(track.answers)} predictions{', ' + classes if classes else ''}"
            rows.append([f"`{spec.name}`", f"{spec.venue}", f"`{track.name}`", what, f"`{track.metric}`", track.data])
    lines += table(["edition", "venue", "track", "predictions", "metric", "data"], rows)
    return "\n".join(lines) + "\n"


def index_page() -> str:
    """Return the page that links the pages of blocks."""
    lines = ["# Choose blocks", "", "![What a combination is made of](../assets/pipeline.svg)", ""]
    lines += [
        "Every name below is a plugin. `harness list` prints the same lists, with the plugins that you installed;"
    ]
    lines += [
        "`harness info NAME` prints one block. All blocks pass the same checks: padding and the other clips of a batch"
    ]
    lines += ["never change a prediction, a branch without data has no influence, every option has an effect.", ""]
    streams = sorted((entry.spec for entry in load().entries("streams")), key=lambda spec: spec.name)
    lines += table(["stream", "what it is"], [[f"`{s.name}`", s.summary] for s in streams])
    rows = []
    for kind, (title, _) in KINDS.items():
        names = ", ".join(f"`{entry.spec.name}`" for entry in load().entries(kind))
        rows.append([f"[{title}]({kind}.md)", names])
    lines += ["", *table(["kind", "built in"], rows), ""]
    lines += ["[Editions](editions.md) lists the tracks of all competitions. [What blocks are worth on the synthetic"]
    lines += ["set](measured.md) compares fusions and heads."]
    return "\n".join(lines) + "\n"


def costs_of(kind: str) -> dict[str, list[str]]:
    """Return the measured costs of blocks by name: encoders out of docs/scaling.md, the others out of measured.md."""
    if kind != "encoders":
        return {
            name: [f"{trained} trained parameters in all, with face, context and audio"]
            for name, trained in measured(kind, 7).items()
        }
    found: dict[str, list[str]] = {}
    for line in (DOCS / "scaling.md").read_text(encoding="utf-8").splitlines():
        if row := re.fullmatch(r"\| `(\w+=(\w+)[^`]*)` \| ([^|]+) \| ([\d.]+) \| \w+ \| ([\d,]+) \|.*", line):
            slot, name, size, weights, rate = row.groups()
            text = f"`{slot}` on {size}: {weights} million weights, {rate} frames/s"
            found.setdefault(name, []).append(f"{text} on two cores ([Scaling](../scaling.md))")
    return found


def measured(kind: str, number: int) -> dict[str, str]:
    """Return a column of docs/blocks/measured.md, of fusions with the head gru or of heads with the fusion late."""
    column, other, fixed = {"fusions": (0, 1, "gru"), "heads": (1, 0, "late")}.get(kind, (0, 0, ""))
    found = {}
    page = (DOCS / "blocks" / "measured.md").read_text(encoding="utf-8").partition("<!-- /demo blocks -->")[0]
    for line in page.splitlines():
        cells = [part.strip() for part in line.strip("|").split("|")]
        if fixed and len(cells) > 4 and cells[other] == fixed:
            found[cells[column]] = cells[number]
    return found


def table(header: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(header)} |", "|" + " --- |" * len(header)]
    return lines + [f"| {' | '.join(cell(text) for text in row)} |" for row in rows]


def cell(text: str) -> str:
    """Format a text for one cell of a table, with its addresses as links."""
    text = " ".join(text.split()).replace("|", "\\|")
    text = re.sub(r"arXiv[: ]\s?(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"(?<!/)\bdoi:(10\.[^\s,;)]+)", r"[doi:\1](https://doi.org/\1)", text)


# --- the drawing ------------------------------------------------------------------------------------------------------

ROWS = (("face", "#4c6fb1"), ("body", "#3f8f73"), ("context", "#b07d2b"), ("audio", "#9a4f86"))
COLUMNS: Mapping[str, int] = {"streams": 20, "encoders": 160, "fusion": 330, "head": 470, "predictions": 590}


def pipeline() -> str:
    """Draw streams, encoders, fusion, head and predictions, from left to right; readable on light and dark pages."""
    parts = [text(x + 50, 18, name, "#888888") for name, x in COLUMNS.items()]
    for row, (name, colour) in enumerate(ROWS):
        y = 34 + 48 * row
        parts += [
            box(20, y, name, colour),
            box(160, y, "encoder", colour),
            arrow(120, y + 17, 158),
            arrow(260, y + 17, 328),
        ]
    parts += [tall(330, "fusion"), arrow(430, 123, 468), tall(470, "head"), arrow(570, 123, 588)]
    for row, name in enumerate(("valence, arousal", "expression", "action units")):
        parts.append(box(590, 40 + 64 * row, name, "#666666", 130))
    return drawing(740, 232, "streams, encoders, fusion, head, predictions", parts)


def layers() -> str:
    """Draw the layers of the harness from the import contract, between the other packages."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (floors,) = (one["layers"] for one in contracts if one["name"] == "Layers of the harness")
    parts = [text(300, 18, "harness: imports point down only", "#888888")]
    for row, floor in enumerate(floors):
        names = floor.replace("(", "").replace(")", "").split(" | ")
        width = (440 - 8 * (len(names) - 1)) // len(names)
        parts += [box(80 + (width + 8) * i, 28 + 38 * row, name, "#4c6fb1", width, 30) for i, name in enumerate(names)]
    end = 28 + 38 * len(floors)
    parts += [box(560, 28, "plugins", "#3f8f73", 120, end - 36), box(80, end + 14, "leaderboards", "#9a4f86", 216, 30)]
    parts += [box(304, end + 14, "zoo", "#b07d2b", 376, 30)]
    return drawing(720, end + 56, "the packages and the layers of the harness", parts)


def drawing(width: int, height: int, title: str, parts: list[str]) -> str:
    """Return an SVG file."""
    size = f'viewBox="0 0 {width} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif" font-size="13">'
    marker = '<marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    defs = f'<defs>{marker}<path d="M0 0L8 4L0 8z" fill="#888888"/></marker></defs>'
    return "\n".join([head, f"<title>{title}</title>", defs, *parts, "</svg>"]) + "\n"


def box(x: int, y: int, label: str, colour: str, width: int = 100, height: int = 34) -> str:
    """Return a labelled box."""
    rect = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{colour}"/>'
    return rect + text(x + width // 2, y + height // 2 + 5, label, "#ffffff")


def tall(x: int, label: str) -> str:
    """Return a box as high as all streams together."""
    return box(x, 34, label, "#555f7a", 100, 178)


def arrow(x: int, y: int, end: int) -> str:
    """Return a horizontal arrow."""
    return f'<path d="M{x} {y}H{end}" stroke="#888888" stroke-width="1.5" fill="none" marker-end="url(#a)"/>'


def text(x: int, y: int, label: str, colour: str) -> str:
    """Return a centred text."""
    return f'<text x="{x}" y="{y}" text-anchor="middle" fill="{colour}">{escape(label)}</text>'


def main() -> None:
    """Write the pages, or name those that are stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is stale")
    chosen = parser.parse_args()
    made = pages()
    stale = [path for path in made if not path.is_file() or path.read_text(encoding="utf-8") != made[path]]
    for path in stale:
        if not chosen.check:
            atomic(path, partial(Path.write_text, data=made[path], encoding="utf-8"))
        print(f"{path.relative_to(ROOT)}: {'stale' if chosen.check else 'written'}")
    sys.exit(bool(chosen.check and stale))


if __name__ == "__main__":
    main()
