"""Plugins by name."""

from zoo.moved import passing_on

__getattr__ = passing_on("zoo.registry", "zoo.registry.registry")
