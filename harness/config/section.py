"""Base class of the sections of a run's configuration."""

from __future__ import annotations

import os
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, field_validator


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

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse ``true`` and ``false`` as numbers, also as items of lists: pydantic takes them for 1 and 0."""
        kinds = _kinds_in(cls.model_fields[str(info.field_name)].annotation)
        items = value if isinstance(value, list | tuple) else (value,)
        if kinds & {int, float} and bool not in kinds and any(isinstance(item, bool) for item in items):
            raise ValueError("must be a number, not true or false")
        return value


def _kinds_in(annotation: Any) -> set[Any]:
    """Return the plain types that an annotation such as ``tuple[int, ...] | None`` is made of."""
    inner = get_args(annotation)
    return {kind for each in inner for kind in _kinds_in(each)} if inner else {annotation} & {int, float, bool}
