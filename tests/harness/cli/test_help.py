"""Help: every command has examples that parse, readable metavars and a whole sentence; topics answer without torch."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from harness import cli
from harness.cli.commands.help import SECTIONS, TOPICS
from harness.cli.help import examples_of
from harness.config.schema import RunConfig, load_config
from tests.docs.pages import harness_commands
from tests.docs.test_site import parse
from tests.support.refusals import Part

PROGRAM: Any = typer.main.get_command(cli.app)


def every_command() -> Iterator[tuple[str, Any]]:
    """Every command by its words, groups included, with its context."""

    def below(context: Any, words: str) -> Iterator[tuple[str, Any]]:
        for name, command in getattr(context.command, "commands", {}).items():
            inner = type(context)(command, info_name=name, parent=context)
            yield f"{words} {name}".strip(), inner
            yield from below(inner, f"{words} {name}".strip())

    yield from below(typer.Context(PROGRAM, info_name="harness"), "")


CONTEXTS = dict(every_command())
COMMANDS = {words: context for words, context in CONTEXTS.items() if not hasattr(context.command, "commands")}


def test_there_are_all_commands() -> None:
    assert len(COMMANDS) > 35
    assert {"run", "data pack", "weights fetch", "help"} <= set(COMMANDS)


def test_the_check_below_can_fail() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse(PROGRAM, ["run", "--nonsense"])


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_ends_with_examples_of_its_own_that_parse(words: str) -> None:
    context = COMMANDS[words]
    lines = examples_of(context.command)
    assert 2 <= len(lines) <= 4
    assert context.get_help().rstrip().endswith("\n".join(f"  {line}" for line in lines))
    for arguments in harness_commands("\n".join(f"    {line[line.index('harness ') :]}" for line in lines)):
        assert " ".join(arguments).startswith(words)
        parse(PROGRAM, arguments)


def test_the_examples_of_the_program_parse() -> None:
    lines = examples_of(PROGRAM)
    assert lines
    for arguments in harness_commands("\n".join(f"    {line}" for line in lines)):
        parse(PROGRAM, arguments)


@pytest.mark.parametrize("words", CONTEXTS)
def test_metavars_are_words_for_people(words: str) -> None:
    text = CONTEXTS[words].get_help()
    assert not re.search(r"<[\w\[\] ]+>|\bINTEGER\b|\bRANGE\b|x>=|\{[A-Z]", text), text
    for row in re.findall(r"(?m)^  (\S.*?)(?:  |$)", text.partition("Options:\n")[2].partition("\nExamples:")[0]):
        assert re.fullmatch(r"(--[\w-]+(, )?)+( [A-Z][A-Za-z.,:=|\[\]]*(\|-)?)?|[a-z]+", row), row


@pytest.mark.parametrize("words", ["", *(words for words in CONTEXTS if words not in COMMANDS)])
def test_every_command_is_listed_in_a_section_with_a_whole_sentence(words: str) -> None:
    context = CONTEXTS[words] if words else typer.Context(PROGRAM, info_name="harness")
    text = context.get_help()
    titles = [*cli.COMMANDS, *cli.GROUPS] if not words else ["Commands"]
    for title in titles:
        section = text.partition(f"\n{title}:\n")[2].partition("\n\n")[0]
        assert section, title
        for line in section.splitlines():
            assert re.fullmatch(r"  [a-z]+ +[A-Z][a-z]+,? .*[^.]\.", line), line
    listed = set(re.findall(r"(?m)^  ([a-z]+) +[A-Z][a-z]+,? ", text))
    assert listed == set(context.command.commands)


@pytest.mark.parametrize("topic", TOPICS)
def test_topics_are_listed_and_fit_a_terminal(topic: str, program) -> None:  # type: ignore[no-untyped-def]
    assert f"harness help {topic}" in program("help").out
    answer = program("help", topic)
    assert (answer.code, answer.err) == (0, "")
    assert max(map(len, answer.out.splitlines())) <= 80
    for line in re.findall(r"(?m)^  harness (.*?)(?:  .*)?$", answer.out):
        parse(PROGRAM, shlex.split(line))


def test_the_topic_settings_has_every_key_with_its_default(program) -> None:  # type: ignore[no-untyped-def]
    text = program("help", "settings").out
    default = load_config(None, {}, [])
    for section in SECTIONS:
        for name, field in RunConfig.model_fields[section].annotation.model_fields.items():  # type: ignore[union-attr]
            assert field.description, f"{section}.{name} has no description"
            assert re.search(rf"(?m)^  {section}\.{name}=\S", text)
            assert getattr(getattr(default, section), name) == field.default


def test_help_shows_the_help_of_a_command(program) -> None:  # type: ignore[no-untyped-def]
    assert program("help", "data", "pack").out == program("data", "pack", "--help").out
    assert program("help", "data").out.endswith("`harness data --help` shows the options and commands.\n")
    program("help", "dat").refused("help-unknown", name="dat", hint=Part("'data'"))
    program("help", "data", "pick").refused("help-unknown", name="data pick", hint=Part("'pack'"))


def test_other_words_for_a_topic_lead_to_it(program) -> None:  # type: ignore[no-untyped-def]
    assert program("help", "slots").out == program("help", "branches").out
    assert "STREAM[.TAG][=ENCODER[:ARGUMENT]]" in program("help", "slots").out
    assert program("help", "plugin").out.startswith("Usage: harness plugin"), "a command comes first"
