"""Safetensors: headers, index and shards, held against the model."""
