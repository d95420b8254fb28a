"""Settings of distillation: a finished run teaches the one that is trained. Off by default."""

from __future__ import annotations

from pydantic import Field

from harness.config.section import PathText, Section


class Distill(Section):
    """Distillation from a finished run (zoo.model.distillation)."""

    run: PathText | None = Field(None, description="the finished run that teaches; left out: nobody does")
    weight: float = Field(
        0.5, gt=0, le=1, description="share of the teacher's part in the loss; the labels have the rest"
    )
    temperature: float = Field(2.0, gt=0, description="temperature of class and unit probabilities, for distill.run")
    unlabelled: bool = Field(False, description="also learn from the teacher at training frames without labels")
