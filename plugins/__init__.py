"""The built-in blocks: encoders, augmentations, fusions, heads, losses, post-processors, detectors, corpora, ..."""
