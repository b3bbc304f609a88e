"""What is asked of an endpoint: requests as data."""
