"""A plan for readers: text for a person, scripts, JSON, a cluster's own formats. Pure."""
