"""Diagnosis of a data folder: `harness data doctor`."""
