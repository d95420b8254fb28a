"""Settings of a run: schema, recipes."""
