"""Has a hook, and forgot to say so."""

from zoo import api


def encoders():
    return [api.EncoderSpec("unmarked", "stranger_unmarked:Net")]
