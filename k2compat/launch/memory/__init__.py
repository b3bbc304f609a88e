"""Memory of a model on its GPUs: sizes, layouts, the estimate."""
