"""The built-in encoders, fusions, heads, losses, post-processors, detectors, loggers and editions."""
