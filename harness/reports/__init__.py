"""Reports: what runs and data folders look like, as pages of one file and as figures for papers. Needs no torch."""
