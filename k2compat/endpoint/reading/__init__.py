"""What an endpoint answered: recorded bytes become one value that notes what deviates."""
