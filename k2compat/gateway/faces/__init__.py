"""The gateway's core inside other servers: ASGI applications and LiteLLM's proxy."""
