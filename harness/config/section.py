"""Base class of the sections of a run's configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the configuration: an unknown key is an error, and nothing changes after it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")  # TOML can hold inf and nan
