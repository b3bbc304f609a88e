"""What a user asks of a launch: engine, model, cluster, values."""
