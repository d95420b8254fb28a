"""`harness bench`: throughput of this machine, next to what it could reach."""
