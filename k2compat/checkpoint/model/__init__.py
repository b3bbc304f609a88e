"""What the config describes: sizes, quantisation, and every tensor with name, shape and dtypes."""
