"""Records of runs, statistics of ranks, tables. Knows nothing of the rest and needs no torch."""
