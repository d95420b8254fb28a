"""Raw videos -> crops, boxes and packed files."""
