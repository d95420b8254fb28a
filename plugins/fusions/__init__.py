"""The catalogue of fusions: one light spec each; the networks lie beside it."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def fusions() -> list[api.FusionSpec]:
    """The built-in fusions."""
    return [
        api.FusionSpec(
            "late",
            "plugins.fusions.late:Late",
            "A predictor a slot; their answers are averaged over the slots that are present.",
            {
                "weights": api.Option(
                    "learned",
                    "weights of the slots: learned (for each answer and slot), equal, or fixed: 0.7,0.3 in "
                    "the order of the slots, or face=0.7,audio=0.3",
                ),
                "average": api.Option(
                    "logits",
                    "what is averaged of classes and units: logits, a logarithmic opinion pool, or posteriors, the sum "
                    "rule of Kittler et al.; values are averaged as they are",
                    choices=("logits", "posteriors"),
                ),
            },
            paper="logits: Genest & Zidek 1986, doi:10.1214/ss/1177013825; posteriors: Kittler et al. 1998, "
            "doi:10.1109/34.667881",
            per_slot=True,
            bare_alone=True,
        ),
        api.FusionSpec(
            "concat",
            "plugins.fusions.concat:Concat",
            "The slots' features side by side, then one predictor.",
            paper="Atrey et al. 2010, doi:10.1007/s00530-010-0182-0 (feature-level fusion)",
            bare_alone=True,
        ),
        api.FusionSpec(
            "gated",
            "plugins.fusions.gated:Gated",
            "Gates from all slots decide at every frame how much of each slot goes through (GMU).",
            {
                "hidden": api.Option(64, "width to which each slot is projected"),
                "gate": api.Option(
                    "sigmoid",
                    "each gate by itself, or gates that add up to 1 over the slots present",
                    choices=("sigmoid", "softmax"),
                ),
                "dropout": api.Option(0.1, "dropout of the gated sum"),
            },
            paper="Arevalo et al. 2017, arXiv:1702.01992",
        ),
        api.FusionSpec(
            "cross_attention",
            "plugins.fusions.cross_attention:CrossAttention",
            "Each slot's frames attend to all frames of the other slots; with one slot, to its own.",
            {
                "hidden": api.Option(64, "width to which each slot is projected, even for each head"),
                "heads": api.Option(4, "attention heads of each slot"),
                "dropout": api.Option(0.1, "dropout of attention weights and of what was read"),
            },
            paper="Tsai et al. 2019, arXiv:1906.00295 (cross-modal attention)",
        ),
        api.FusionSpec(
            "transformer",
            "plugins.fusions.transformer:StaticQuery",
            "The leading slot's frame as a static query to the dynamic features of all slots around it.",
            {
                "lead": api.Option("", "slot that asks; empty: the first one"),
                "hidden": api.Option(64, "width to which slots are projected, even for each head"),
                "layers": api.Option(1, "times that the query reads the memory"),
                "heads": api.Option(4, "attention heads"),
                "window": api.Option(0, "frames on each side that are read; 0: the whole clip"),
                "dropout": api.Option(0.1, "dropout of attention weights and inside the layers"),
            },
            paper="Zhang et al. 2022, arXiv:2203.12367",
        ),
        api.FusionSpec(
            "bottleneck",
            "plugins.fusions.bottleneck:Bottleneck",
            "A transformer a slot; slots exchange through a few shared tokens only (MBT).",
            {
                "hidden": api.Option(64, "width to which each slot is projected, even for each head"),
                "layers": api.Option(2, "transformer layers of each slot; they hear each other from the second on"),
                "heads": api.Option(4, "attention heads"),
                "tokens": api.Option(4, "bottleneck tokens"),
                "dropout": api.Option(0.1, "dropout of attention weights and inside the layers"),
            },
            paper="Nagrani et al. 2021, arXiv:2107.00135",
        ),
        api.FusionSpec(
            "moe",
            "plugins.fusions.moe:MixtureOfExperts",
            "A router weighs at every frame what experts make of the joined slots; all experts see all frames.",
            {
                "experts": api.Option(8, "number of experts"),
                "hidden": api.Option(32, "width to which slots are projected, and of the experts"),
                "balance": api.Option(0.01, "weight of the loss that keeps all experts in use"),
                "dropout": api.Option(0.1, "dropout inside the experts"),
            },
            paper="Jacobs et al. 1991, doi:10.1162/neco.1991.3.1.79; Shazeer et al. 2017, arXiv:1701.06538 (balance)",
        ),
        api.FusionSpec(
            "joint_cross_attention",
            "plugins.fusions.joint_cross_attention:JointCrossAttention",
            "A temporal net a slot, then each slot is read anew by what all slots say together, in one or more rounds.",
            {
                "rounds": api.Option(1, "times the slots read each other; 1 is JCA, more RJCA"),
                "gate": api.Option(
                    "none",
                    "chooses a frame's features from before attention or after each round; flat is GRJCA's, "
                    "hierarchical its two-step form (2 rounds or more)",
                    choices=("none", "flat", "hierarchical"),
                ),
                "hidden": api.Option(64, "width to which each slot is brought after its temporal net"),
                "dropout": api.Option(0.1, "share of what was attended that is dropped in each round"),
                "own_term": api.Option(False, "the first paper's W x of each slot's own frame beside what it attended"),
            },
            paper="Praveen et al. 2022, arXiv:2203.14779; recursive: 2304.07958, 2403.13659; gated: 2503.12261",
        ),
        api.FusionSpec(
            "leader_follower",
            "plugins.fusions.leader_follower:LeaderFollower",
            "A temporal net a slot; the leading slot's features beside what the slots attend in each other, by frame.",
            {
                "lead": api.Option(None, "the slot that leads; without it the first one", type=str),
                "hidden": api.Option(32, "width of queries, keys and values"),
                "heads": api.Option(1, "attention heads; they divide hidden"),
            },
            paper="Zhang et al. 2021, arXiv:2107.01175",
        ),
        api.FusionSpec(
            "tensor",
            "plugins.fusions.tensor:TensorFusion",
            "The outer product of all slots, each with a 1 before it (TFN), then one predictor.",
            {
                "dim": api.Option(
                    None,
                    "width to which each slot is projected; without it the largest whose product has at most "
                    "16,384 numbers, and no more than the slot's own",
                    type=int,
                ),
            },
            paper="Zadeh et al. 2017, arXiv:1707.07250",
        ),
        api.FusionSpec(
            "low_rank",
            "plugins.fusions.low_rank:LowRank",
            "The outer product of all slots and a linear layer, factored so that the product is never made (LMF).",
            {
                "rank": api.Option(4, "products of factors that are added up"),
                "width": api.Option(64, "fused features"),
            },
            paper="Liu et al. 2018, arXiv:1806.00064",
        ),
    ]
