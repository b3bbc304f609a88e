"""Verdicts on answers: pure functions from answers to observations."""
