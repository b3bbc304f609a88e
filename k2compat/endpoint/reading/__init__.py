"""Reading of recorded answers: bytes become one value that notes the deviations."""
