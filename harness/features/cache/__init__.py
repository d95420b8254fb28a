"""The feature cache on disk: entries with checksums, locks, leases, and its housekeeping. No torch here.

$ABAW_ZOO_CACHE/features/ab/<key>/      one video's features of one frozen encoder
    features.npy                        (present frames, D) float16 or float32
    present.npy                         (n_frames,) bool
    meta.json                           what it is, and the files' sha256; written last
$ABAW_ZOO_CACHE/features/ab/<key>.lock  held by who computes or removes the entry
$ABAW_ZOO_CACHE/features/ab/<key>.part  what is being written, or was left by a process that was killed
$ABAW_ZOO_CACHE/features/leases/        who uses which entries
"""
