"""What an Aff-Wild2 folder holds: videos, labels, lists, crops."""
