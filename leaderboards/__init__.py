"""Records of runs, statistics of ranks, tables. Imports no other package of the project, and no torch."""
