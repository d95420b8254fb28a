"""Every rule for loggers can fail: a sound one keeps all rules, small wrong ones break the one they are meant to."""

from __future__ import annotations

import socket

import pytest

from tests.support.conformance import broken, unproved
from zoo import api, testing
from zoo.testing import loggers


class Lines:
    """A sound logger."""

    def __init__(self, folder, step):
        self.folder = folder
        self.file = (folder / "lines.txt").open("a" if step else "w")

    def settings(self, values):
        self.file.write(f"{dict(values)}\n")

    def scalars(self, values, step):
        self.file.write(f"{step} {dict(values)}\n")

    def figure(self, name, path):
        self.file.write(f"{name} {len(path.read_bytes())}\n")

    def record(self, content):
        self.file.write(f"{dict(content)}\n")

    def close(self):
        self.file.close()


class OnlineLogger(Lines):
    def scalars(self, values, step):
        socket.getaddrinfo("localhost", 80)


class Silent(Lines):
    def settings(self, values):
        pass

    scalars = figure = record = lambda self, *_: None


class Forgets(Lines):
    def __init__(self, folder, step):
        super().__init__(folder, 0)

    def record(self, content):
        pass


class Overwrites(Lines):
    def record(self, content):
        (self.folder / "record.json").write_text("mine")


class Takes(Lines):
    def record(self, content):
        content.pop("name")


def logger(build, **declared):
    return api.LoggerSpec("l", build, **declared)


CASES = [
    (Lines, set()),
    (OnlineLogger, {"offline"}),
    (Silent, {"kept"}),
    (Forgets, {"continued"}),
    (Overwrites, {"own_files"}),
    (Takes, {"given_untouched"}),
]


@pytest.mark.parametrize(("build", "rules"), CASES)
def test_loggers(build, rules):
    assert broken(testing.logger_checks(logger(build))) == rules


def test_every_rule_is_shown_to_fail():
    assert unproved(loggers, CASES) == set()


def test_one_that_sends_things_away_says_so():
    states = {c.rule: c.judge().state for c in testing.logger_checks(logger(OnlineLogger, local=False))}
    assert states["offline"] == "excused"
    testing.check_logger(logger(Lines))
