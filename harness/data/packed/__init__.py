"""Packed streams: the decoded videos and crops of a data folder in a few large files.

    PACK/face/<name>.arrow       ``jpeg``: each frame's crop with its original bytes; null if there is none
    PACK/body/<name>.arrow       ``jpeg``, and the person's box ``x0 y0 x1 y1`` in pixels of the raw video
    PACK/context/<name>.arrow    the same for the whole frame, squeezed to a square, the person blacked out
    PACK/audio/<video>.arrow     ``samples``: int16, mono
    PACK/<stream>/<name>.json    the label: source, size and sha256 of the file; written last
    PACK/ledger.jsonl            log of packing: source, time and outcome of each file, with the reason of a failure

Row k is frame k + 1. The files are Arrow IPC and are memory-mapped for reading. A file without its label is ignored.
"""
