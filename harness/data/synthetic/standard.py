"""The version of the demo set and its standard size."""

DEMO_VERSION = "2"
"""Increased whenever any byte of the set changes; part of cache keys."""
STANDARD_VIDEOS = (24, 16, 8)
STANDARD_FRAMES = 120
