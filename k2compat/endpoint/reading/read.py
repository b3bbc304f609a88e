"""Reading of a recording into an answer."""

from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.reading.answer import Answer, Recording, shown
from k2compat.endpoint.reading.errors import error_text
from k2compat.endpoint.reading.stream import read_stream
from k2compat.endpoint.reading.whole import read_whole

EVENT_STREAM = "text/event-stream"


def read_answer(request: Request, recording: Recording) -> Answer:
    """Read an answer. No content of the recording raises.

    Args:
        request: the request.
        recording: its recorded answer.
    """
    answer = Answer(request)
    if recording.status is None:
        answer.is_chat = False
        answer.observe("answer-missing", f"No answer came: {recording.failure}.")
    elif request.must_be_refused:
        _read_refusal(answer, recording)
    elif recording.status != 200:
        _read_error(answer, recording)
    else:
        _read_completion(answer, recording)
    return answer


def _read_completion(answer: Answer, recording: Recording) -> None:
    if recording.failure:
        answer.observe("answer-cut", f"The answer ended early: {recording.failure}.")
    if not answer.request.streams:
        read_whole(answer, recording.body)
    elif recording.content_type == EVENT_STREAM:
        read_stream(answer, recording.body)
    else:
        answer.is_chat = False
        answer.observe(
            "stream-not-events",
            "The answer to a request with stream: true is no event stream.",
            EVENT_STREAM,
            recording.content_type or "(no Content-Type)",
        )


def _read_refusal(answer: Answer, recording: Recording) -> None:
    """The answer to a request that is wrong on purpose."""
    answer.is_chat = False
    status = recording.status or 0
    if not 400 <= status < 500:
        words = "An invalid request is not refused with a status of 400 to 499."
        answer.observe("bad-request-not-refused", words, "400", status)


def _read_error(answer: Answer, recording: Recording) -> None:
    answer.is_chat = False
    status = recording.status or 0
    message = shown(error_text(recording.body)) or "(no message)"
    if not 400 <= status < 500:
        answer.observe("server-failed", f"The server answered {status}: {message}")
    else:
        answer.is_refused = True
        code = "option-refused" if answer.request.is_optional else "request-refused"
        answer.observe(code, f"The server refused the request with {status}: {message}")
