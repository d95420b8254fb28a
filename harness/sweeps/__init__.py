"""Sweeps: many combinations on the same data; features once, one training each, one table of all."""
