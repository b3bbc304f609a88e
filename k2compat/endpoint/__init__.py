"""Check an OpenAI-compatible server of Kimi-K2: requests as data, verdicts as pure functions.

`plan` makes the requests and `judge` turns the answers into findings. The modules that need aiohttp
(the extra `serve`) are not imported here: `check` asks and judges, and `client`, the only module
with sockets, sends.
"""

from k2compat.endpoint.asking.plan import plan
from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.checks import Check, checks
from k2compat.endpoint.figures import figures_of, schemas_of
from k2compat.endpoint.prompt_tokens import PromptCounter, read_prompt_folder
from k2compat.endpoint.reading.answer import Answer, AnsweredCall, Recording
from k2compat.endpoint.report import EndpointReport, as_markdown, as_text
from k2compat.endpoint.sample_files import read_baseline, read_samples
from k2compat.endpoint.target import Run, Target, base_url, read_key, refuse_without_extra
from k2compat.endpoint.verdicts.judge import Judgement, judge

__all__ = [
    "Answer",
    "AnsweredCall",
    "Check",
    "EndpointReport",
    "Judgement",
    "PromptCounter",
    "Recording",
    "Request",
    "Run",
    "Target",
    "as_markdown",
    "as_text",
    "base_url",
    "checks",
    "figures_of",
    "judge",
    "plan",
    "read_baseline",
    "read_key",
    "read_prompt_folder",
    "read_samples",
    "refuse_without_extra",
    "schemas_of",
]
