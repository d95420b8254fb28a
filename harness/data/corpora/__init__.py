"""Corpora of labelled pictures: decode them, and check every picture once before a training."""
