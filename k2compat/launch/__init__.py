"""A model, a cluster and an engine become the commands of one plan."""
