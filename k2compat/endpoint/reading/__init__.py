"""What an endpoint answered: recorded bytes become one value, with what deviates beside it."""
