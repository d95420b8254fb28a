"""Many combinations of one set of data: features once, then a training each, and one table of all."""
