"""Packed streams: what a data folder's videos and crops give, once decoded, in a few large files.

    PACK/face/<name>.arrow       ``jpeg``: each frame's crop, its own bytes; null where there is none
    PACK/body/<name>.arrow       ``jpeg``, and the person's box ``x0 y0 x1 y1`` in pixels of the raw video
    PACK/context/<name>.arrow    likewise: the whole picture, squeezed to a square, the person blacked out
    PACK/audio/<video>.arrow     ``samples``: int16, mono
    PACK/<stream>/<name>.json    the label: what it is made of, its size and sha256; written last
    PACK/ledger.jsonl            what was packed, when, and what failed and why

Row k is frame k + 1. The files are Arrow IPC, memory-mapped where they are used; a file without its label is none.
"""
