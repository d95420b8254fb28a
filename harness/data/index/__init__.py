"""Index of a data set: videos, labels, groups, sample manifests and picture folders."""
