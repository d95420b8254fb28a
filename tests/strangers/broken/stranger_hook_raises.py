"""Fails when it is asked."""

from zoo import api


@api.hookimpl
def encoders():
    return [api.EncoderSpec("raises", "stranger_hook_raises:Net", options={"width": 1 / 0})]
