"""A third party's catalogue. Light, like the built-in ones: the networks are named, not imported."""

from zoo import api


@api.hookimpl
def encoders():
    return [
        api.EncoderSpec(
            "stranger",
            "stranger_blocks.networks:Patches",
            summary="A few convolutions, trained in place.",
            options={"width": api.Option(8, "number of filters")},
            streams=("face", "body", "context"),
        )
    ]


@api.hookimpl
def heads():
    return [
        api.HeadSpec(
            "stranger_head",
            "stranger_blocks.networks:CausalMean",
            summary="The mean of all frames so far.",
            causal=True,
            full=True,
        )
    ]
