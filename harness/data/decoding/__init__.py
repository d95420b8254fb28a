"""Frames, sound and JPEGs out of files."""
