"""Reports of runs, data folders and predicted videos: self-contained HTML pages, and figures for papers. No torch."""
