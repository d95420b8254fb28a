"""Clips, windows and batches."""
