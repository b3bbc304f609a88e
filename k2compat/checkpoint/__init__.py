"""Checkpoints on disk: headers in, findings out. Weights are never read here."""
