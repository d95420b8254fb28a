"""Biases of classes against brute force, Bayes' rule and scikit-learn's F1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from plugins.postprocess.class_bias import TAUS, ClassBias, best_of_class, climb, macro_f1
from zoo.api import Answer, VideoAnswers


def answer(width: int) -> tuple[Answer, ...]:
    return (Answer("expression", "class", -1, classes=tuple(f"c{k}" for k in range(width))),)


def video(p: np.ndarray, target: np.ndarray) -> VideoAnswers:
    n = len(p)
    return VideoAnswers(
        "v", "v", {"expression": p}, {"expression": target}, {"face": np.ones(n, bool)}, np.arange(n) / 30
    )


def random_case(seed: int, n: int, width: int, digits: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Logits, rounded so that some are equal, and labels that follow them loosely."""
    random = np.random.default_rng(seed)
    logits = np.round(random.standard_normal((n, width)), digits)
    return logits, (logits + 1.5 * random.standard_normal((n, width))).argmax(1)


def fitted(logits: np.ndarray, classes: np.ndarray, form: str = "classes") -> ClassBias:
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    post = ClassBias(answer(logits.shape[1]), form)
    post.fit([video(p, classes.astype(float))], lambda videos: 0.0)
    return post


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(2, 5))
def test_macro_f1_is_that_of_scikit_learn(seed, n, width):
    logits, classes = random_case(seed, n, width)
    wanted = f1_score(classes, logits.argmax(1), labels=range(width), average="macro", zero_division=0)
    assert macro_f1(logits, classes) == pytest.approx(wanted, abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(2, 5), st.sampled_from([1, 8]))
def test_no_other_bias_of_one_class_is_better(seed, n, width, digits):
    logits, classes = random_case(seed, n, width, digits)
    c = seed % width
    value, f1 = best_of_class(logits, classes, c)
    step = np.eye(width)[c]
    assert macro_f1(logits + value * step, classes) == pytest.approx(f1, abs=1e-12)
    rest = np.delete(logits, c, axis=1).max(1) - logits[:, c]
    edges = np.sort(np.concatenate([rest - 1e-9, rest + 1e-9, [rest.min() - 1, rest.max() + 1]]))
    assert f1 >= max(macro_f1(logits + x * step, classes) for x in edges) - 1e-12


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40))
def test_with_two_classes_it_is_the_best_of_all(seed, n):
    logits, classes = random_case(seed, n, 2)
    gaps = logits[:, 1] - logits[:, 0]
    every = [*(gaps + 1e-9), *(gaps - 1e-9), gaps.min() - 1, gaps.max() + 1, 0.0]
    brute = max(macro_f1(logits + np.array([x, 0.0]), classes) for x in every)
    bias = fitted(logits, classes).bias["expression"]
    assert macro_f1(logits + bias, classes) == pytest.approx(brute, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_no_worse_than_either_start_on_its_own_frames(seed):
    logits, classes = random_case(seed, 400, 8)
    counts = np.bincount(classes, minlength=8)
    starts = np.zeros(8), np.log(counts.max() / np.maximum(counts, 1))
    bias = fitted(logits, classes).bias["expression"]
    for start in starts:
        assert macro_f1(logits + bias, classes) >= macro_f1(logits + start, classes)
        assert macro_f1(logits + climb(logits, classes, start), classes) >= macro_f1(logits + start, classes)


def three_classes(n: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Shares of three classes, labels drawn by them, likelihoods of an observation, and the true posteriors."""
    random = np.random.default_rng(0)
    shares = np.array([0.7, 0.2, 0.1])
    classes = random.choice(3, n, p=shares)
    x = classes + random.standard_normal(n)
    likelihood = np.exp(-0.5 * (x[:, None] - np.arange(3)) ** 2)
    posterior = likelihood * shares
    return shares, classes, likelihood, posterior / posterior.sum(1, keepdims=True)


def test_tau_1_is_the_rule_of_bayes_for_equal_shares():
    """Divided by the shares of the classes, a posterior is that of classes which are all as frequent."""
    shares, classes, likelihood, posterior = three_classes()
    post = ClassBias(answer(3), "prior", {"expression": -np.log(shares)})
    done = post.apply(video(posterior, classes.astype(float))).values["expression"]
    np.testing.assert_allclose(done, likelihood / likelihood.sum(1, keepdims=True), rtol=1e-9)


def test_the_form_prior_takes_the_temperature_with_the_best_f1():
    _, classes, _, posterior = three_classes()
    counts = np.bincount(classes, minlength=3) + 1
    prior = -np.log(counts / counts.sum())
    scores = [
        f1_score(classes, (np.log(posterior) + tau * prior).argmax(1), labels=range(3), average="macro") for tau in TAUS
    ]
    best = TAUS[int(np.argmax(scores))]
    assert 0 < best < TAUS[-1]
    bias = fitted(np.log(posterior), classes, "prior").bias["expression"]
    np.testing.assert_allclose(bias, best * prior, rtol=1e-12)


def test_a_constant_a_missing_label_and_a_missing_class_change_nothing():
    logits, classes = random_case(3, 200, 4)
    a = fitted(logits, classes).bias["expression"]
    b = fitted(logits + 5.0, classes).bias["expression"]
    np.testing.assert_allclose(a, b, atol=1e-9)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    target = classes.astype(float)
    more = np.concatenate([target, [np.nan] * 5]), np.concatenate([p, p[:5]])
    post = ClassBias(answer(4))
    post.fit([video(more[1], more[0])], lambda videos: 0.0)
    np.testing.assert_allclose(post.bias["expression"], a)
    unlabelled = ClassBias(answer(4))
    unlabelled.fit([video(p, np.full(len(p), np.nan))], lambda videos: 0.0)
    np.testing.assert_array_equal(unlabelled.apply(video(p, target)).values["expression"], p)


def test_predicted_classes_are_those_of_the_biased_logarithms():
    logits, classes = random_case(5, 300, 6)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    post = fitted(logits, classes)
    done = post.apply(video(p, classes.astype(float))).values["expression"]
    np.testing.assert_array_equal(done.argmax(1), (logits + post.bias["expression"]).argmax(1))
    np.testing.assert_allclose(done.sum(1), 1)
    zero = np.array([[1.0, 0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(post.apply(video(zero, np.zeros(1))).values["expression"], zero)


def test_given_biases_are_not_fitted():
    post = ClassBias(answer(2), bias={"expression": [0.0, 1.5]})
    post.fit([video(np.full((4, 2), 0.5), np.array([0.0, 0.0, 0.0, 1.0]))], lambda videos: pytest.fail("it is fixed"))
    np.testing.assert_array_equal(post.bias["expression"], [0.0, 1.5])
