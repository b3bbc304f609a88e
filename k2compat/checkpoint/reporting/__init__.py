"""What is found out about a checkpoint, as values."""
