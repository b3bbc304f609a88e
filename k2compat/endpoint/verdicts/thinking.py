"""Whether the thinking switch of a request has its effect."""

from k2compat.endpoint.reading.answer import Answer


def judge_thinking(answer: Answer) -> None:
    """Judge one answer by its request's switch."""
    if answer.request.thinking is False and answer.reasoning:
        words = "The model thinks, though chat_template_kwargs turn it off."
        answer.observe("thinking-not-off", words, "no reasoning", answer.reasoning)
