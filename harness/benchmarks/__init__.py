"""What this machine does in a second, beside what it could: `harness bench`."""
