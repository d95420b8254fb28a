"""What the conformance checks share: check objects, option values, the blocked network, the task to be learned."""

from __future__ import annotations

import socket
import sys

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.refusals import Part, refused
from zoo import api, testing
from zoo.api import Option
from zoo.testing import ConformanceError, registered
from zoo.testing import toy_tasks as tasks
from zoo.testing.comparisons import other_value
from zoo.testing.rules import describe


class Frame(nn.Linear):
    """A sound head of single frames."""

    def __init__(self, dim, hidden=12):
        super().__init__(dim, hidden)
        self.out_dim = hidden

    def forward(self, x, valid):
        return super().forward(x).tanh()


def spec(build=Frame, **more):
    return api.HeadSpec("mine", build, options={"hidden": Option(12, "units")}, **more)


def test_a_check_is_named_after_block_and_rule_and_so_is_its_error():
    checks = {str(check): check for check in testing.head_checks(spec())}
    assert list(checks)[:2] == ["mine-offline", "mine-shape"]
    checks["mine-shape"]()
    with pytest.raises(
        ConformanceError, match="mine breaks the rule 'other_frames': no answer depends on earlier frames"
    ):
        checks["mine-other_frames"]()


def test_a_fault_is_an_assertion_error_so_that_a_test_fails_rather_than_errs():
    assert issubclass(ConformanceError, AssertionError)


def test_what_a_block_raises_itself_passes_with_the_rule_in_a_note():
    class Faulty(Frame):
        def forward(self, x, valid):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        testing.check_head(spec(Faulty))
    said, details = caught.value.__notes__
    assert said == "raised by mine while the rule 'shape' was checked"
    assert details.splitlines()[0].startswith("  fed: forward(x: (3, 9, 6) float32, -")
    assert details.splitlines()[1] == "  came back: ZeroDivisionError: "


def test_a_failure_says_what_was_fed_what_came_back_and_why_it_matters():
    class Leaky(Frame):
        def forward(self, x, valid):
            return super().forward(x, valid) + x.mean((1, 2), keepdim=True)

    (check,) = [c for c in testing.head_checks(spec(Leaky)) if c.rule == "padding"]
    with pytest.raises(ConformanceError) as caught:
        check()
    first, fed, got, why = str(caught.value).splitlines()
    assert first.startswith("mine breaks the rule 'padding': garbage in the padding changes an answer (by ")
    assert fed.startswith("  fed: forward(x: (3, 9, 6) float32, -")
    assert fed.endswith("to 100, valid: (3, 9) bool, 21 of 27 true)")
    before, after = (float(got.split()[i]) for i in (2, 5))
    assert after - before > 10  # the mean of 24 or 12 of 54 numbers of 100, and noise
    assert got.endswith("; 144 of 252 numbers differ")  # those of the two clips that have padding
    assert why == (
        "  why it matters: Clips of one batch have different lengths. If padding counts, a video's score depends on "
        "what it is batched with."
    )


@pytest.mark.parametrize("kind", api.KINDS)
def test_every_rule_says_what_it_asks_and_why(kind):
    for rule in sys.modules[registered.CHECKS[kind].__module__].RULES:
        check = testing.Check("b", rule.__name__, rule, rule.__doc__)
        assert check.asks.endswith(".")
        assert check.why.endswith("."), rule
        assert len(check.asks + check.why) < 400


def test_a_rule_that_does_not_apply_is_excused_not_passed():
    found = {check.rule: check.judge() for check in testing.head_checks(spec(frame_wise=True))}
    assert found["shape"].state == "passed"
    assert (found["learns"].state, found["learns"].fault) == ("excused", "declared frame_wise")


def test_checks_by_kind():
    assert [str(c) for c in testing.spec_checks("heads", spec())] == [str(c) for c in testing.head_checks(spec())]
    with refused("registry-kind-unknown", kind="head", hint=Part("heads")):
        testing.spec_checks("head", spec())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.tensor([1.0, torch.nan, -2.0]), "(3,) float32, -2 to 1, 1 of 3 not finite"),
        (torch.ones(2, 3, dtype=torch.bool), "(2, 3) bool, 6 of 6 true"),
        (torch.empty(2, device="meta"), "(2,) float32"),
        (np.zeros(0), "(0,) float64"),
        (np.array(["a"]), "(1,) <U1"),
        ({"face": np.arange(3)}, "{face: (3,) int64, 0 to 2}"),
        (api.Option(3, "help"), "Option(default=3, help='help', choices=(), type=None, formerly=())"),
        ([torch.ones(1)] * 4, "4 of (1,) float32, 1 to 1"),
        (("x", None), "('x', None)"),
        (nn.ReLU, "ReLU"),
        (object(), "a object"),
    ],
)
def test_values_in_words(value, words):
    assert describe(value) == words


def test_options_given_reach_the_block_and_unknown_ones_are_refused():
    testing.check_head(spec(frame_wise=True), hidden=3)
    with pytest.raises(ConformanceError, match="it has no option hiden"):
        testing.check_head(spec(frame_wise=True), hiden=3)


def test_the_value_that_an_option_is_tried_with_can_be_named():
    class Sized(Frame):
        def __init__(self, dim, hidden=12):
            assert hidden in (12, 17)
            super().__init__(dim, hidden)

    with pytest.raises(AssertionError):
        testing.check_head(spec(Sized, frame_wise=True))
    testing.check_head(spec(Sized, frame_wise=True), values={"hidden": 17})


def test_a_target_that_is_missing_is_the_user_s_to_mend():
    with refused("target-missing", target="zoo.testing.heads:NoSuchHead"):
        testing.check_head(spec("zoo.testing.heads:NoSuchHead"))


def test_no_network_is_reached_inside_and_it_comes_back_after():
    with testing.no_network():
        for attempt in (
            lambda: socket.getaddrinfo("localhost", 80),
            lambda: socket.create_connection(("127.0.0.1", 9)),
            lambda: socket.socket().connect_ex(("127.0.0.1", 9)),
        ):
            with pytest.raises(ConformanceError, match="it uses the network"):
                attempt()
    assert socket.getaddrinfo("127.0.0.1", 80)


def test_a_heavy_catalogue_is_found(tmp_path, monkeypatch):
    (tmp_path / "heavy_module.py").write_text("import torch\n")
    (tmp_path / "heavy_hook.py").write_text("def heads():\n    import pandas\n")
    (tmp_path / "light_module.py").write_text("def heads():\n    return []\n")
    monkeypatch.syspath_prepend(tmp_path)
    testing.check_light("light_module")
    for name, package in (("heavy_module", "torch"), ("heavy_hook", "pandas")):
        with pytest.raises(ConformanceError, match=f"{name} is not light: .*loads {package}"):
            testing.check_light(name)


@pytest.mark.parametrize(
    ("option", "now", "other"),
    [
        (Option("a", "", choices=("a", "b")), "a", "b"),
        (Option(True, ""), True, False),
        (Option(3, ""), 3, 6),
        (Option(0, ""), 0, 1),
        (Option(0.4, ""), 0.4, 0.2),
        (Option(None, "", type=float), None, 0.5),
        (Option("", ""), "", "other"),
        (Option((1, 2), ""), (1, 2), (2, 4)),
        (Option((), ""), (), ("other",)),
    ],
)
def test_another_value_of_an_option(option, now, other):
    assert other_value(option, now) == other


# --- the task that must be learned -----------------------------------------------------------------------------------


def left(prediction: torch.Tensor, target: torch.Tensor) -> float:
    return float((prediction - target).square().mean() / target.var(unbiased=False))


def best(keys: list[torch.Tensor], target: torch.Tensor) -> float:
    """What remains of the variance for the best function of the keys (8, 11): the mean target of equal keys."""
    table: dict[tuple, list[float]] = {}
    flat = list(zip(*(k.flatten().tolist() for k in keys), strict=True))
    for key, value in zip(flat, target.flatten().tolist(), strict=True):
        table.setdefault(key, []).append(value)
    means = torch.tensor([sum(table[key]) / len(table[key]) for key in flat]).view_as(target)
    return left(means, target)


@pytest.mark.parametrize("task", [tasks.crossed, tasks.summed])
def test_no_slot_and_no_frame_solves_the_task_by_itself(task):
    """Not even one that has learned by heart which sequence it sees and where in it a frame stands."""
    a, b = tasks.bits()
    target = task(a, b)
    frame = torch.arange(tasks.FRAMES - 1).float().expand_as(target)
    for stream in (a, b):
        whole = (stream > 0).float() @ (2.0 ** torch.arange(tasks.FRAMES))
        assert best([whole[:, None].expand_as(target), frame], target) > 3.5 * tasks.GOOD
    assert best([a[:, 1:], b[:, 1:]], target) > 0.7
    both = [a[:, 1:], b[:, 1:], a[:, :-1], b[:, :-1]]
    assert best(both, target) == 0


def test_sums_of_slots_cannot_cross_them():
    """Why a DecisionFusion is given the other task: the best sum of a function of each slot leaves too much."""
    a, b = tasks.bits()
    sequences = [(s > 0).float() @ (2.0 ** torch.arange(tasks.FRAMES)) for s in (a, b)]
    one_hot = torch.cat([(s[:, None] == s.unique()).float() for s in sequences], -1)
    target = tasks.crossed(a, b)
    fitted = one_hot @ torch.linalg.lstsq(one_hot, target, driver="gelsd").solution  # for every frame by itself
    assert left(fitted, target) > 4 * tasks.GOOD
