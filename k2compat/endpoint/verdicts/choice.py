"""Whether a server keeps to tool_choice and parallel_tool_calls."""

from k2compat.endpoint.reading.answer import Answer


def judge_choice(answer: Answer) -> None:
    """Judge one answer by the tool_choice of its request."""
    body = answer.request.body
    choice, names = body.get("tool_choice"), [call.name for call in answer.calls]
    if choice == "none" and names:
        words = "A call comes with tool_choice none."
        answer.observe("tool-choice-none-ignored", words, "no call", ", ".join(names))
    elif answer.ran_out and not names:
        return  # a long thought took all tokens
    elif choice == "required" and not names:
        words = "No call comes with tool_choice required."
        answer.observe("tool-choice-required-ignored", words, "a call", answer.content)
    elif answer.request.forced_tool is not None:
        _judge_named(answer, answer.request.forced_tool, names)
    if body.get("parallel_tool_calls") is False and len(names) > 1:
        words = "Several calls come with parallel_tool_calls false."
        answer.observe("parallel-calls-not-limited", words, "1", len(names))


def _judge_named(answer: Answer, name: str, names: list[str]) -> None:
    if not names:
        words = "No call comes though tool_choice names a tool."
        answer.observe("tool-choice-named-ignored", words, name, answer.content)
    elif set(names) != {name}:
        words = "Another tool is called than tool_choice names."
        answer.observe("tool-choice-named-ignored", words, name, ", ".join(names))
