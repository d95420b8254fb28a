"""Write, verify and record submission files."""
