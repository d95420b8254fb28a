"""Where and how work runs: devices, processes, memory, prefetching."""
