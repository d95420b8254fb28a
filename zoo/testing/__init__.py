"""Conformance checks: the rules for every block of the zoo, for the tests of plugin authors and for our own.

    from zoo.testing import check_head

    def test_my_head():
        check_head(my_spec)  # raises ConformanceError: the rule, the input, the output, why it matters

``check_<kind>`` runs every rule; ``<kind>_checks`` returns them one by one, for

    @pytest.mark.parametrize("check", [c for spec in heads() for c in head_checks(spec)], ids=str)
    def test_heads(check):
        check()

``spec_checks(kind, spec)`` returns the rules for a spec of any kind. ``Check.judge()`` returns a Verdict instead of
raising. A Verdict distinguishes rules that do not apply from rules that passed.

Options given as keywords replace the spec's defaults. The rule *options* builds the block once more for every option,
with another value; ``values={"size": 160}`` sets that value if the automatic one does not fit.
"""

from zoo.testing.augmentations import augmentation_checks, check_augmentation
from zoo.testing.comparisons import check_light, no_network
from zoo.testing.corpora import check_corpus, corpus_checks
from zoo.testing.detectors import check_detector, detector_checks
from zoo.testing.editions import check_edition, edition_checks
from zoo.testing.encoders import check_encoder, encoder_checks
from zoo.testing.fusions import check_fusion, fusion_checks
from zoo.testing.heads import check_head, head_checks
from zoo.testing.loggers import check_logger, logger_checks
from zoo.testing.losses import check_loss, loss_checks
from zoo.testing.postprocessors import check_postprocessor, postprocessor_checks
from zoo.testing.registered import spec_checks
from zoo.testing.rules import Check, ConformanceError, Verdict
from zoo.testing.streams import check_stream, stream_checks

__all__ = [
    "Check",
    "ConformanceError",
    "Verdict",
    "augmentation_checks",
    "check_augmentation",
    "check_corpus",
    "check_detector",
    "check_edition",
    "check_encoder",
    "check_fusion",
    "check_head",
    "check_light",
    "check_logger",
    "check_loss",
    "check_postprocessor",
    "check_stream",
    "corpus_checks",
    "detector_checks",
    "edition_checks",
    "encoder_checks",
    "fusion_checks",
    "head_checks",
    "logger_checks",
    "loss_checks",
    "no_network",
    "postprocessor_checks",
    "spec_checks",
    "stream_checks",
]
