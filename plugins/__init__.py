"""The built-in encoders, augmentations, fusions, heads, losses, post-processors, detectors, loggers and editions."""
