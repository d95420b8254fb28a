"""Read and prepare data: data folders, decoding, face tracking, packing, input streams and the synthetic demo set."""
