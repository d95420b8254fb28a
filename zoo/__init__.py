"""Contract, registry, weights, metrics and conformance checks for blocks of audiovisual emotion recognition."""

from zoo import moved

moved.install()
