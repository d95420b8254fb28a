"""Scores of the competitions."""
