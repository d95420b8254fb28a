"""Conformance checks: the rules that every block of the zoo keeps, for the tests of plugin authors and for our own.

    from zoo.testing import check_head

    def test_my_head():
        check_head(my_spec)  # raises ConformanceError, which names the rule, the frame and the size of the fault

``check_<kind>`` runs every rule; ``<kind>_checks`` gives them one by one, for

    @pytest.mark.parametrize("check", [c for spec in heads() for c in head_checks(spec)], ids=str)
    def test_heads(check):
        check()

Options given by keyword replace the spec's defaults. The rule *options* builds the block once more for every option,
with another value; ``values={"size": 160}`` names the value where the one made up for it does not fit.
"""

from zoo.testing.base import Check, ConformanceError, check_light, no_network
from zoo.testing.encoders import check_encoder, encoder_checks
from zoo.testing.fusions import check_fusion, fusion_checks
from zoo.testing.heads import check_head, head_checks
from zoo.testing.losses import check_loss, loss_checks
from zoo.testing.postprocess import check_postprocessor, postprocessor_checks

__all__ = [
    "Check",
    "ConformanceError",
    "check_encoder",
    "check_fusion",
    "check_head",
    "check_light",
    "check_loss",
    "check_postprocessor",
    "encoder_checks",
    "fusion_checks",
    "head_checks",
    "loss_checks",
    "no_network",
    "postprocessor_checks",
]
