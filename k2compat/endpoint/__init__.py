"""Check an OpenAI-compatible server of Kimi-K2: requests as data, verdicts as pure functions.

`plan` makes the requests, `client.run` sends them (the only module with sockets; it needs the
extra `serve`), `judge` makes findings of what came back.
"""

from k2compat.endpoint.asking.plan import plan
from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.checks import Check, checks
from k2compat.endpoint.reading.answer import Answer, AnsweredCall, Recording
from k2compat.endpoint.verdicts.judge import Judgement, judge

__all__ = [
    "Answer",
    "AnsweredCall",
    "Check",
    "Judgement",
    "Recording",
    "Request",
    "checks",
    "judge",
    "plan",
]
