"""Decode video frames, sound and pictures from files."""
