"""Pretrained weights: model cards, files, and loading into networks."""

from zoo.moved import passing_on

__getattr__ = passing_on("zoo.weights", "zoo.weights.loading")
