"""`harness plugin new`: write a working plugin, as a package or as one file."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from zoo.errors import UserError
from zoo.files import reason_of
from zoo.registry.registry import load
from zoo.registry.suggestions import did_you_mean

MARK = "# --- registration "
ONLY_REGISTERS = "  # registers"


@dataclass(frozen=True)
class Kind:
    """A kind of block: its hook, its checks, a summary of the template, and a command that uses it.

    ``function``: the block is built by a function, not by a class.
    """

    hook: str
    checks: str
    summary: str
    use: str
    function: bool = False


KINDS = {
    "encoder": Kind(
        "encoders",
        "encoder_checks",
        "Four convolutions on a picture, trained in place.",
        "harness run{plugin} --encoders face={name},context",
    ),
    "augmentation": Kind(
        "augmentations",
        "augmentation_checks",
        "Pictures darkened by a random factor.",
        "harness run{plugin} --encoders face=timm:resnet18 --set encoder.face.pretrained=false --augment face={name}",
    ),
    "fusion": Kind(
        "fusions",
        "fusion_checks",
        "A linear layer per branch, and the mean over the branches that are present.",
        "harness run{plugin} --encoders face,context --fusion {name}",
    ),
    "head": Kind(
        "heads",
        "head_checks",
        "A convolution over the frames around each frame.",
        "harness run{plugin} --encoders face,context --head {name}",
    ),
    "loss": Kind(
        "losses",
        "loss_checks",
        "The smooth absolute error, for values.",
        "harness run{plugin} --encoders face,context --loss {name}",
    ),
    "postprocess": Kind(
        "postprocessors",
        "postprocessor_checks",
        "Values pulled towards their median over the video.",
        "harness run{plugin} --encoders face,context --post interpolate,{name},clip",
    ),
    "detector": Kind(
        "detectors",
        "detector_checks",
        "Patches that are much redder than blue.",
        "harness data crop RAW --out DIR --detector {name}{plugin}",
    ),
    "logger": Kind(
        "loggers",
        "logger_checks",
        "A line of JSON for each step and epoch.",
        "harness run{plugin} --encoders face,context --logger tensorboard,{name}",
    ),
    "corpus": Kind(
        "corpora",
        "corpus_checks",
        "A folder of pictures with a list of expressions.",
        "harness data corpus {name} faces{plugin} && harness pretrain{plugin} --corpus {name} --data faces "
        "--set encoder.face.pretrained=false",
        function=True,
    ),
}


def new(name: str, kind: str, *, single_file: bool, out: Path) -> None:
    """Write the plugin and print what to do next; raise UserError if the name is invalid or taken."""
    if kind not in KINDS:
        raise UserError("plugin-kind-unknown", kind=kind, hint=did_you_mean(kind, KINDS), names=", ".join(KINDS))
    module = name.replace("-", "_").lower()
    where = out / (f"{module}.py" if single_file else name)
    _check_name(name, kind, module)
    if where.exists() or where.is_symlink():
        raise UserError("plugin-exists", where=where)
    if importlib.util.find_spec(module) is not None:
        raise UserError("plugin-hides-module", name=name, module=module)
    contents = _single(name, kind, module) if single_file else _package(name, kind, module)
    written = _write(where, contents)
    print("written: " + ", ".join(map(str, written)))
    print("\n".join(["next:", *(f"    {line}" for line in _next(name, kind, where, single_file))]))


def _check_name(name: str, kind: str, module: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise UserError("plugin-name-invalid", name=name)
    if keyword.iskeyword(module) or keyword.iskeyword(_camel(name)):
        raise UserError("plugin-name-keyword", name=name)
    hook = KINDS[kind].hook
    registry = load()
    if name in registry.names(hook):
        owner = registry.entry(hook, name).origin
        raise UserError("plugin-name-taken", name=name, owner=owner, hook=hook)


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split("[-_]+", name))


def _filled(template: str, name: str, kind: str, module: str, *, target: str = "", only_used: str = "") -> str:
    """Return a template with all fields filled in; the class gets no name that the template imports."""
    text = (files("harness.cli.commands") / "templates" / f"{template}.txt").read_text(encoding="utf-8")
    block = (files("harness.cli.commands") / "templates" / f"{kind}.txt").read_text(encoding="utf-8")
    class_name = _camel(name)
    if re.search(rf"\b{class_name}\b", block):
        class_name += kind.capitalize()
    about = KINDS[kind]
    if about.function:
        class_name = f"read_{module}"
    return Template(text).substitute(
        name=name,
        module=module,
        Class=class_name,
        kind=kind,
        hook=about.hook,
        checks=about.checks,
        summary=about.summary,
        use=about.use.format(name=name, plugin=""),
        target=target.format(class_name),
        sample=target.format(f"write_{module}"),
    )


def _single(name: str, kind: str, module: str) -> dict[str, str]:
    text = _filled(kind, name, kind, module, target="{}")
    return {"": text.replace(ONLY_REGISTERS, "")}


def _package(name: str, kind: str, module: str) -> dict[str, str]:
    """Return path -> text of a package; the module that registers is separate from the one that imports torch."""
    text = _filled(kind, name, kind, module, target=f'"{module}.network:{{}}"')
    network, _, registered = text.partition(MARK)
    network = "".join(line for line in network.splitlines(keepends=True) if ONLY_REGISTERS not in line)
    registered = registered.partition("\n")[2].lstrip()
    light = f'"""Specs of {name}. Light: every `harness list` imports this module."""\n\n'
    return {
        "pyproject.toml": _filled("package_pyproject", name, kind, module),
        "README.md": _filled("package_readme", name, kind, module),
        f"{module}/__init__.py": f"{light}from __future__ import annotations\n\nfrom zoo import api\n\n\n{registered}",
        f"{module}/network.py": network.rstrip() + "\n",
        f"tests/test_{module}.py": _filled("package_test", name, kind, module),
    }


def _write(where: Path, contents: dict[str, str]) -> list[Path]:
    """Write all files or none; return their paths."""
    written = []
    try:
        for name, text in contents.items():
            path = where / name if name else where
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    except OSError as error:
        shutil.rmtree(where, ignore_errors=True)
        raise UserError("plugin-not-writable", where=where, strerror=reason_of(error)) from error
    return written


def _next(name: str, kind: str, where: Path, single_file: bool) -> list[str]:
    use = KINDS[kind].use
    if single_file:
        return [f"harness plugin check {where}", use.format(name=name, plugin=f" --plugin {where}")]
    return [f"uv pip install -e {where}", f"harness plugin check {name}", use.format(name=name, plugin="")]
