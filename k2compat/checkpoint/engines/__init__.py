"""What engines accept of a checkpoint."""
