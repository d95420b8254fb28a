"""The feature cache on disk: entries with checksums, locks, leases and housekeeping. Nothing here imports torch.

$ABAW_ZOO_CACHE/features/ab/<key>/      one video's features by one frozen encoder
    features.npy                        (present frames, D) float16 or float32
    present.npy                         (n_frames,) bool
    meta.json                           description of the features, and the files' sha256; written last
$ABAW_ZOO_CACHE/features/ab/<key>.lock  held by a process that computes or removes the entry
$ABAW_ZOO_CACHE/features/ab/<key>.part  an entry being written, or left by a process that was killed
$ABAW_ZOO_CACHE/features/leases/        entries in use, by process
"""
