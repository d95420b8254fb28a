"""`harness data doctor`."""
