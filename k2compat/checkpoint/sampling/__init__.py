"""Samples of the data themselves, for what no header shows."""
