"""The contract between harness and plugins, and what both need: registry, assembly, weights, metrics, checks."""
