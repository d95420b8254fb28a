"""Track faces over frames and find the person they belong to."""
