"""The gateway's HTTP server and its client; aiohttp and prometheus-client come with `serve`."""

from k2compat.gateway.http.gateway import Gateway, GatewayRunner

__all__ = ["Gateway", "GatewayRunner"]
