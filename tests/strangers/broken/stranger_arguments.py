"""Its hook wants arguments that no hook has."""

from zoo import api


@api.hookimpl
def encoders(stream):
    return [api.EncoderSpec(stream, "stranger_arguments:Net")]
