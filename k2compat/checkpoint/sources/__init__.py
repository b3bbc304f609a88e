"""Where a checkpoint's files come from, and how they are opened."""
