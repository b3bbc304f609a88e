"""The requests of a check, as data."""
