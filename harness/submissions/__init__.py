"""Submission files: written, verified, noted."""
