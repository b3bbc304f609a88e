"""The gateway's own answers: errors, and those of a full or stopping gateway."""

from aiohttp import web

from k2compat.gateway.answers import error_body
from k2compat.gateway.json_text import encode
from k2compat.gateway.record import Record


def refuse(record: Record, code: str, message: str, status: int) -> web.Response:
    """An error in OpenAI's shape, which the record takes too."""
    record.error = code
    record.status = status
    return web.Response(
        body=encode(error_body(code, message, status)),
        status=status,
        content_type="application/json",
        headers={"X-Request-Id": record.request_id},
    )


def refuse_for_now(record: Record, code: str, message: str) -> web.Response:
    """An error for a client that may send the request again."""
    response = refuse(record, code, message, 503)
    response.headers["Retry-After"] = "1"
    return response


def refuse_and_close(record: Record, code: str, message: str, status: int) -> web.Response:
    """An error for a request whose body was not read: the connection cannot be used again."""
    response = refuse(record, code, message, status)
    response.force_close()
    return response
