"""The steps over a request, by what they change."""
