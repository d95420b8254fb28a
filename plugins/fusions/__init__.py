"""Catalogue of the built-in fusions: one light spec each; the networks are in the other modules of this package."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def fusions() -> list[api.FusionSpec]:
    """Return the specs of the built-in fusions."""
    return [
        api.FusionSpec(
            "late",
            "plugins.fusions.late:Late",
            "One predictor per slot; the predictions are averaged over the slots that are present.",
            {
                "weights": api.Option(
                    "learned",
                    "weights of the slots: learned (for each answer and slot), equal, or fixed: 0.7,0.3 in "
                    "the order of the slots, or face=0.7,audio=0.3",
                ),
                "average": api.Option(
                    "logits",
                    "average for classes and action units: logits, a logarithmic opinion pool, or posteriors, the sum "
                    "rule of Kittler et al.; values are averaged directly",
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
            "The slots' features concatenated, then one predictor.",
            paper="Atrey et al. 2010, doi:10.1007/s00530-010-0182-0 (feature-level fusion)",
            bare_alone=True,
        ),
        api.FusionSpec(
            "gated",
            "plugins.fusions.gated:Gated",
            "A gated sum of the slots at each frame; the gates are computed from all slots (GMU).",
            {
                "hidden": api.Option(64, "width to which each slot is projected"),
                "gate": api.Option(
                    "sigmoid",
                    "sigmoid: independent gates; softmax: gates that add up to 1 over the slots present",
                    choices=("sigmoid", "softmax"),
                ),
                "dropout": api.Option(0.1, "dropout rate of the gated sum"),
            },
            paper="Arevalo et al. 2017, arXiv:1702.01992",
        ),
        api.FusionSpec(
            "cross_attention",
            "plugins.fusions.cross_attention:CrossAttention",
            "Each slot's frames attend to all frames of the other slots; with one slot, to its own.",
            {
                "hidden": api.Option(64, "width to which each slot is projected; an even number per head"),
                "heads": api.Option(4, "attention heads of each slot"),
                "dropout": api.Option(0.1, "dropout rate of attention weights and of attention outputs"),
            },
            paper="Tsai et al. 2019, arXiv:1906.00295 (cross-modal attention)",
        ),
        api.FusionSpec(
            "mult",
            "plugins.fusions.mult:MulT",
            "A stack of cross-modal layers for each ordered pair of slots, then self-attention of each slot (MulT).",
            {
                "hidden": api.Option(32, "width to which each slot is projected; an even number per head"),
                "layers": api.Option(2, "layers of each pair, and of each slot's self-attention"),
                "heads": api.Option(4, "attention heads"),
                "dropout": api.Option(0.1, "dropout rate of attention weights and inside the layers"),
                "causal": api.Option(False, "attend only to the same and earlier frames"),
            },
            paper="Tsai et al. 2019, arXiv:1906.00295",
        ),
        api.FusionSpec(
            "reliability",
            "plugins.fusions.reliability:Reliability",
            "Slots weighted at each frame by a learned score and a prior; one slot can be read through latent tokens.",
            {
                "hidden": api.Option(64, "width to which each slot is projected"),
                "heads": api.Option(4, "attention heads of the latent tokens"),
                "latents": api.Option(4, "latent tokens"),
                "apart": api.Option(
                    "auto", "slot that is read through the latent tokens, or none; auto: the first of stream audio"
                ),
                "priors": api.Option("equal", "prior weights: equal, or face=0.85,body=0.15 for all weighted slots"),
                "dropout": api.Option(0.1, "dropout rate of scores and attention weights"),
            },
            paper="RAAV, arXiv:2603.13056",
        ),
        api.FusionSpec(
            "transformer",
            "plugins.fusions.transformer:StaticQuery",
            "Each frame of the leading branch attends to the neighbouring frames of all branches.",
            {
                "lead": api.Option("", "leading slot, which gives the query; empty: the first slot"),
                "hidden": api.Option(64, "width to which slots are projected; an even number per head"),
                "layers": api.Option(1, "number of layers; the query attends to the memory once in each"),
                "heads": api.Option(4, "attention heads"),
                "window": api.Option(0, "frames on each side that are attended to; 0: the whole clip"),
                "dropout": api.Option(0.1, "dropout rate of attention weights and inside the layers"),
            },
            paper="Zhang et al. 2022, arXiv:2203.12367",
        ),
        api.FusionSpec(
            "task_tokens",
            "plugins.fusions.task_tokens:TaskTokens",
            "A learned token for each kind of answer attends to the frames of all slots; each kind has its own head.",
            {
                "hidden": api.Option(64, "width to which each slot is projected; an even number per head"),
                "layers": api.Option(1, "layers; in each the tokens read the frames, then one another"),
                "heads": api.Option(4, "attention heads"),
                "window": api.Option(0, "frames on each side that are attended to; 0: the whole clip"),
                "dropout": api.Option(0.1, "dropout rate of attention weights and inside the layers"),
            },
            paper="Carion et al. 2020, arXiv:2005.12872 (tokens as queries)",
        ),
        api.FusionSpec(
            "bottleneck",
            "plugins.fusions.bottleneck:Bottleneck",
            "One transformer per slot; slots exchange information only through a few shared tokens (MBT).",
            {
                "hidden": api.Option(64, "width to which each slot is projected; an even number per head"),
                "layers": api.Option(2, "transformer layers of each slot; slots are connected from the second on"),
                "heads": api.Option(4, "attention heads"),
                "tokens": api.Option(4, "bottleneck tokens"),
                "dropout": api.Option(0.1, "dropout rate of attention weights and inside the layers"),
            },
            paper="Nagrani et al. 2021, arXiv:2107.00135",
        ),
        api.FusionSpec(
            "moe",
            "plugins.fusions.moe:MixtureOfExperts",
            "A mixture of experts on the joined slots with dense routing: each expert computes all frames.",
            {
                "experts": api.Option(8, "number of experts"),
                "hidden": api.Option(32, "width to which slots are projected, and width of the experts"),
                "balance": api.Option(0.01, "weight of the auxiliary loss that keeps all experts in use"),
                "dropout": api.Option(0.1, "dropout rate inside the experts"),
            },
            paper="Jacobs et al. 1991, doi:10.1162/neco.1991.3.1.79; Shazeer et al. 2017, arXiv:1701.06538 (balance)",
        ),
        api.FusionSpec(
            "joint_cross_attention",
            "plugins.fusions.joint_cross_attention:JointCrossAttention",
            "One temporal network per slot, then one or more rounds of attention between each slot and all slots.",
            {
                "rounds": api.Option(1, "rounds of attention; 1 is JCA, more are RJCA"),
                "gate": api.Option(
                    "none",
                    "gate between a frame's features before attention and after each round; flat is GRJCA's, "
                    "hierarchical its two-step form (at least 2 rounds), temporal TAGF's, an LSTM over the rounds",
                    choices=("none", "flat", "hierarchical", "temporal"),
                ),
                "hidden": api.Option(64, "width to which each slot is projected after its temporal network"),
                "dropout": api.Option(0.1, "dropout rate of the attended features in each round"),
                "own_term": api.Option(False, "add the first paper's term W x of each slot's own frame"),
            },
            paper="Praveen et al. 2022, arXiv:2203.14779; recursive: 2304.07958, 2403.13659; gated: 2503.12261, "
            "2507.02080",
        ),
        api.FusionSpec(
            "leader_follower",
            "plugins.fusions.leader_follower:LeaderFollower",
            "One temporal network per slot; the leading slot's features joined with attention between slots per frame.",
            {
                "lead": api.Option(None, "leading slot; none: the first slot", type=str),
                "hidden": api.Option(32, "width of queries, keys and values"),
                "heads": api.Option(1, "attention heads; a divisor of hidden"),
            },
            paper="Zhang et al. 2021, arXiv:2107.01175",
        ),
        api.FusionSpec(
            "tensor",
            "plugins.fusions.tensor:TensorFusion",
            "The outer product of all slots, each with a 1 prepended (TFN), then one predictor.",
            {
                "dim": api.Option(
                    None,
                    "width to which each slot is projected; none: the largest whose product has at most "
                    "16,384 numbers, and no more than the slot's own width",
                    type=int,
                ),
            },
            paper="Zadeh et al. 2017, arXiv:1707.07250",
        ),
        api.FusionSpec(
            "low_rank",
            "plugins.fusions.low_rank:LowRank",
            "The outer product of all slots and a linear layer, factorised so that the product is never formed (LMF).",
            {
                "rank": api.Option(4, "rank of the factorisation"),
                "width": api.Option(64, "number of fused features"),
            },
            paper="Liu et al. 2018, arXiv:1806.00064",
        ),
    ]
