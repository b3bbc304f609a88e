"""k2compat: Kimi-K2, running correctly on any inference engine."""

__version__ = "0.1.0"
