"""Frozen encoders, their features and the cache of these."""
