"""Gives a head where an encoder is wanted."""

from zoo import api


@api.hookimpl
def encoders():
    return [api.HeadSpec("wrong_kind", "stranger_wrong_kind:Net")]
