"""Devices, processes, memory and prefetching."""
