"""Layers that plugins share."""
