"""Data, training, evaluation, submissions and the command line."""
