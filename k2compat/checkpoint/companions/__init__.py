"""The files that a model needs besides its weights."""
