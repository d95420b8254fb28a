"""Takes a name that another stranger has."""

from zoo import api


@api.hookimpl
def encoders():
    return [api.EncoderSpec("stranger", "stranger_rival:Net")]
