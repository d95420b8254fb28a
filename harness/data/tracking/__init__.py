"""Faces over frames, and the person they belong to."""
