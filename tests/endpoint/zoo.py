"""Faulty servers, each with one fault of servers in the field, and the code that names it."""

from tests.endpoint.faulty import calls, choices, models, prompts, streams, texts
from tests.endpoint.faulty.registry import ZOO

__all__ = ["ZOO", "calls", "choices", "models", "prompts", "streams", "texts"]
