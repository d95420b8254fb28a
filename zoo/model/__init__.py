"""A plan -> one network."""
