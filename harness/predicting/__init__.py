"""What is done with inputs of one's own: videos read once, answered by a trained run or a ready model."""
