"""Pretrained weights: cards, files, and how they get into networks."""

from zoo.moved import passing_on

__getattr__ = passing_on("zoo.weights", "zoo.weights.loading")
