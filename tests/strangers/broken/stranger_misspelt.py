"""Its hook has lost a letter; the other one would be fine."""

from zoo import api


@api.hookimpl
def encoder():
    return []


@api.hookimpl
def heads():
    return [api.HeadSpec("misspelt_head", "stranger_misspelt:Head")]
