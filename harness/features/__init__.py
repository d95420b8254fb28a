"""Frozen encoders, their features and the feature cache."""
