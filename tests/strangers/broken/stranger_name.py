"""Its block has a name that the grammar of slots cannot address."""

from zoo import api


@api.hookimpl
def encoders():
    return [api.EncoderSpec("my net:1", "stranger_name:Net")]
