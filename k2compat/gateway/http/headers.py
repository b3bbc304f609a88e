"""Which headers pass, and in which direction; everything else is dropped."""

import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Final

from multidict import istr

# A multidict compares an `istr` without making small letters of it each time.
_REQUEST_ID_NAME: Final = istr("X-Request-Id")
_ACCEPT_ENCODING: Final = istr("Accept-Encoding")
_AUTHORIZATION: Final = istr("Authorization")
UP: Final = (istr("traceparent"), istr("tracestate"), istr("baggage"))
DOWN: Final = (istr("Retry-After"), _REQUEST_ID_NAME)
_DOWN_PREFIXES: Final = ("x-ratelimit-", "ratelimit")
_DOWN_INITIALS: Final = "XxRr"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def request_id_of(headers: Mapping[str, str], fresh: str) -> str:
    """The client's X-Request-Id if it can be logged as it is, else a fresh one."""
    given = headers.get(_REQUEST_ID_NAME, "")
    return given if _REQUEST_ID.fullmatch(given) else fresh


def upstream_headers(
    headers: Mapping[str, str], *, request_id: str, authorization: str | None
) -> dict[str, str]:
    """The headers of the request to the upstream.

    Args:
        headers: the client's headers.
        request_id: the request's id.
        authorization: the value of Authorization to send, or None for none.
    """
    result: dict[str, str] = {name: headers[name] for name in UP if name in headers}
    result[_REQUEST_ID_NAME] = request_id
    # A compressed body would have to be inflated to be read.
    result[_ACCEPT_ENCODING] = "identity"
    if authorization is not None:
        result[_AUTHORIZATION] = authorization
    return result


def client_headers(headers: Mapping[str, str], request_id: str) -> dict[str, str]:
    """The headers of the client's answer that come from the upstream's."""
    result: dict[str, str] = {_REQUEST_ID_NAME: request_id}
    result |= {name: headers[name] for name in DOWN if name in headers}
    result |= {
        name: value
        for name, value in headers.items()
        # The first letter is enough for most.
        if name[:1] in _DOWN_INITIALS and name.lower().startswith(_DOWN_PREFIXES)
    }
    return result


def is_admitted(authorization: str | None, keys: Iterable[bytes]) -> bool:
    """Whether a request's Authorization holds one of the keys.

    Every key is compared in constant time, so that the time does not reveal how many characters of
    a guess are right.
    """
    scheme, _, given = (authorization or "").partition(" ")
    guess = given.strip().encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(guess, key) for key in keys]
    return scheme.lower() == "bearer" and any(matches)
