"""What the answers show: pure functions from answers to observations."""
