"""Base class of the sections of a run's configuration."""

from __future__ import annotations

import os
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict


def from_home(value: Any) -> Any:
    """Expand a leading ``~`` in a path to the user's home folder; do the same for each item of a list."""
    if isinstance(value, list | tuple):
        return type(value)(from_home(item) for item in value)
    return os.path.expanduser(value) if isinstance(value, str) and (value + "/").startswith("~/") else value


PathText = Annotated[str, AfterValidator(from_home)]


class Section(BaseModel):
    """A section of the configuration: an unknown key is an error, and nothing changes after it is read."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,  # of numbers with a meaning; options of blocks may be anything that TOML can hold
        ser_json_inf_nan="constants",
    )
