"""GGUF: headers, metadata and tensors of the architecture deepseek2, held against its rules."""
