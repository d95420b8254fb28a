"""The index of any data set: videos, labels, groups, manifests of samples, folders of pictures."""
