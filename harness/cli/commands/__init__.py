"""The work behind each command, imported when the command runs."""
