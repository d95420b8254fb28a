"""The loss on a teacher's predictions against NumPy, and its place in the loss of a batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from tests.zoo.model.test_model import ANSWERS, batch
from tests.zoo.model.test_regularisation import labelled_batch, model
from zoo.api import Answer
from zoo.metrics.scores import ccc
from zoo.model.distillation import soft_loss
from zoo.model.model import Regularisation

WHOLE = slice(None)


def decoded(seed: int, clips: int = 3, frames: int = 5) -> torch.Tensor:
    """Return predictions in the columns of ANSWERS: two values, three classes, two units."""
    rng = np.random.default_rng(seed)
    shape = (clips, frames)
    values, units = rng.uniform(-1, 1, (*shape, 2)), rng.uniform(0.02, 0.98, (*shape, 2))
    return torch.from_numpy(np.concatenate([values, softmax(rng.normal(size=(*shape, 3)), -1), units], -1))


def by_hand(student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    """Return the loss over frames (N, K): CCCs, and divergences by SciPy of probabilities to the power 1 / T."""
    values = 1 - np.mean([ccc(student[:, a], teacher[:, a]) for a in (0, 1)])

    def tempered(p: np.ndarray) -> np.ndarray:
        raised = p ** (1 / temperature)
        return raised / raised.sum(-1, keepdims=True)

    classes = entropy(tempered(teacher[:, 2:5]), tempered(student[:, 2:5]), axis=-1).mean()
    pairs = [np.stack([x[:, 5:], 1 - x[:, 5:]], -1) for x in (teacher, student)]
    units = entropy(tempered(pairs[0]), tempered(pairs[1]), axis=-1).mean()
    return float(values + temperature**2 * (classes + units))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 7.0])
def test_it_equals_the_sum_by_hand(temperature: float) -> None:
    student, teacher = decoded(0), decoded(1)
    taught = torch.rand(3, 5, generator=torch.Generator().manual_seed(0)) > 0.3
    spoilt = torch.where(taught.unsqueeze(-1), teacher, torch.tensor(float("nan")).double())
    got = soft_loss(student, spoilt, taught, ANSWERS, temperature, WHOLE)
    assert float(got) == pytest.approx(by_hand(student[taught].numpy(), teacher[taught].numpy(), temperature), rel=1e-9)


def test_a_student_like_its_teacher_has_no_loss_and_no_gradient_at_frames_that_are_not_taught() -> None:
    same = decoded(0)
    assert float(soft_loss(same, same, torch.ones(3, 5, dtype=torch.bool), ANSWERS, 2.0, WHOLE)) == pytest.approx(0)
    student = decoded(1).requires_grad_()
    taught = torch.zeros(3, 5, dtype=torch.bool)
    taught[0, :3] = True
    soft_loss(student, same, taught, ANSWERS, 2.0, WHOLE).backward()
    assert student.grad is not None
    assert student.grad[taught].abs().sum() > 0
    assert student.grad[~taught].abs().sum() == 0
    nobody = soft_loss(student, same, torch.zeros_like(taught), ANSWERS, 2.0, WHOLE)
    assert float(nobody.detach()) == 0


def test_high_temperatures_give_the_gradient_of_centred_logits() -> None:
    """Hinton et al., equation 4: T² times the gradient tends to the difference of logits of zero mean, over C."""
    generator = torch.Generator().manual_seed(0)
    logits, wanted = (torch.randn(1, 1, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    logits.requires_grad_()
    one = (Answer("mood", "class", -1, ("a", "b", "c")),)
    taught = torch.ones(1, 1, dtype=torch.bool)
    soft_loss(logits.softmax(-1), wanted.softmax(-1), taught, one, 1e3, WHOLE).backward()
    centred = [x.detach() - x.detach().mean() for x in (logits, wanted)]
    torch.testing.assert_close(logits.grad, (centred[0] - centred[1]) / 3, rtol=1e-2, atol=1e-3)


def test_parts_of_a_batch_add_up() -> None:
    student, teacher = decoded(0, 4), decoded(1, 4)
    taught = torch.rand(4, 5, generator=torch.Generator().manual_seed(2)) > 0.4
    additive = ANSWERS[2:]
    whole = soft_loss(student[..., 2:], teacher[..., 2:], taught, additive, 3.0, WHOLE)
    parts = [
        soft_loss(student[rows, :, 2:], teacher[..., 2:], taught, additive, 3.0, rows)
        for rows in (slice(0, 1), slice(1, 4))
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_labels_and_teacher_share_the_loss() -> None:
    soft = decoded(5, 4, 6).float()
    clips = replace(labelled_batch(), soft=soft, taught=torch.ones(4, 6, dtype=torch.bool))
    plain, taught = model(), model(regularisation=Regularisation(output_dropout=0.0, distill=0.25, temperature=3.0))
    taught.load_state_dict(plain.state_dict())
    plain.eval(), taught.eval()
    hard, _ = plain.loss(plain(clips), clips)
    total, parts = taught.loss(taught(clips), clips)
    assert float(parts["main"]) == pytest.approx(0.75 * float(hard), rel=1e-6)
    own = taught.decode(taught(clips).raw)
    wanted = soft_loss(own, soft, clips.taught, ANSWERS, 3.0, WHOLE)  # type: ignore[arg-type]
    assert float(parts["teacher"]) == pytest.approx(0.25 * float(wanted), rel=1e-6)
    assert float(total) == pytest.approx(float(parts["main"] + parts["teacher"]), rel=1e-6)
    assert "teacher" not in taught.loss(taught(batch(4, 6)), batch(4, 6))[1]  # clips of validation have no teacher


def test_frames_whose_slots_are_dropped_are_not_taught() -> None:
    net = model(regularisation=Regularisation(modality_dropout=0.5, distill=0.5))
    context = torch.ones(200, 4, dtype=torch.bool)
    context[:, 2:] = False
    clips = labelled_batch(200, 4)
    clips = replace(
        clips, present={"face": clips.valid, "context": context}, soft=decoded(0, 200, 4), taught=clips.valid
    )
    left = net.drop(clips)
    seen = left.present["face"] | left.present["context"]
    assert (~seen).any()
    assert torch.equal(left.taught, seen)  # type: ignore[arg-type]
