"""Preprocess raw videos into face crops, boxes and packed files."""
