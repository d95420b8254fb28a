"""Makes its list and keeps it."""

from zoo import api


@api.hookimpl
def encoders():
    [api.EncoderSpec("forgotten", "stranger_forgot_return:Net")]
