"""Checks a finished call's arguments against its tool's JSON Schema."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isinf
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeAlias

from k2compat.errors import RefusedError
from k2compat.printable import counted

if TYPE_CHECKING:
    from jsonschema_rs import EvaluationErrorEntry, ValidationError, Validator

# Positions in arrays are strings too: the validator does not tell them from keys.
ValuePath: TypeAlias = tuple[str, ...]

_SCHEMAS_KEPT: Final = 256
_MESSAGE_AT_MOST: Final = 300

# jsonschema_rs lists the errors of an instance all at once, each with its value: 100,000 take
# 2.4 s, and the time for one grows with their number. Its `evaluate` finds the same places in
# 0.3 s, but tells less of each (measured with 0.60).
FAULTS_EXPLAINED_MAX: Final = 10_000

# A model reads no more messages, and a list of 100,000 wrong items must not give 100,000.
PROBLEMS_AT_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class ArgumentProblem:
    """A value that does not fit its tool's schema.

    Attributes:
        path: the value's place as a JSON Pointer; "" is the whole.
        message: one sentence on what is wrong, fit to be shown to the model.
    """

    path: str
    message: str


class Cause(NamedTuple):
    """The reason why a value does not fit; `types` are the expected ones, if the type is wrong."""

    path: ValuePath
    message: str
    types: frozenset[str] = frozenset()


def check(arguments: str, tool: Mapping[str, Any]) -> tuple[ArgumentProblem, ...]:
    """Check a finished call's arguments against its tool's JSON Schema.

    Args:
        arguments: the call's arguments, as the model wrote them.
        tool: the tool as the request declares it: an OpenAI tool dict. Without
            `parameters` every object fits.

    Returns:
        What does not fit; nothing if all is well. After `PROBLEMS_AT_MOST` problems one
        more, of the whole, says how many are left out.

    Raises:
        RefusedError: tool-schema-invalid, the tool's `parameters` are no
            usable JSON Schema. Any other exception is a bug.
    """
    return problems_of(causes_in(arguments, validator_of(tool)))


def problems_of(causes: Sequence[Cause]) -> tuple[ArgumentProblem, ...]:
    problems = [
        ArgumentProblem(pointer(cause.path), cause.message) for cause in causes[:PROBLEMS_AT_MOST]
    ]
    if left_out := len(causes) - len(problems):
        problems.append(
            ArgumentProblem("", f"The arguments have {counted(left_out, 'more problem')}")
        )
    return tuple(problems)


def causes_in(arguments: str, validator: "Validator") -> list[Cause]:
    try:
        value = DECODER.decode(arguments)
    except ValueError as error:
        return [Cause((), f"The arguments are not JSON: {error}")]
    except RecursionError:
        return [Cause((), "The arguments are nested too deeply to be checked")]
    if not isinstance(value, dict):
        return [Cause((), "The arguments are not a JSON object", frozenset({"object"}))]
    try:
        if validator.is_valid(value):
            return []
        found = validator.evaluate(value).errors()
        if len(found) > FAULTS_EXPLAINED_MAX:
            return [_place_and_message(error) for error in found]
        errors = list(validator.iter_errors(value))
    except ValueError as error:
        return [Cause((), f"The arguments cannot be checked: {error}")]
    return [cause for error in errors for cause in _causes(error)]


def _place_and_message(error: "EvaluationErrorEntry") -> Cause:
    """The place and message of one of very many errors, without the expected type."""
    steps = error["instanceLocation"].split("/")[1:]
    path = tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)
    return Cause(path, _shortened(error["error"]))


def _causes(error: "ValidationError") -> Iterator[Cause]:
    """The causes of an error; for a choice of schemas, those of the only one of the right type."""
    path = tuple(map(str, error.instance_path))
    message = _shortened(error.message)
    if error.kind.name == "type":
        yield Cause(path, message, frozenset(error.kind.value))
    elif error.kind.name in ("anyOf", "oneOf"):
        branches = [
            [cause for each in branch for cause in _causes(each)] for branch in error.kind.value
        ]
        right_type = [branch for branch in branches if not _types_at(path, branch)]
        if len(right_type) == 1:
            yield from right_type[0]
        elif right_type:
            yield Cause(path, message)
        else:
            yield Cause(path, message, _types_at(path, *branches))
    else:
        yield Cause(path, message)


def _types_at(path: ValuePath, *branches: list[Cause]) -> frozenset[str]:
    return frozenset(
        name
        for branch in branches
        for cause in branch
        if cause.path == path
        for name in cause.types
    )


def _shortened(message: str) -> str:
    """A message without most of the quoted value, which may be megabytes; its end has the fault."""
    half = _MESSAGE_AT_MOST // 2
    if len(message) <= _MESSAGE_AT_MOST:
        return message
    return f"{message[:half]} … {message[-half:]}"


def pointer(path: ValuePath) -> str:
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in path)


def _number(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(f"the number {_shortened(text)} is too large")
    return number


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


DECODER: Final = json.JSONDecoder(parse_float=_number, parse_constant=_no_json)


def validator_of(tool: Mapping[str, Any]) -> "Validator":
    function = tool.get("function")
    if not isinstance(function, Mapping):
        raise _broken_schema("?", "it has no function")
    name = function.get("name", "?")
    try:
        parameters = function.get("parameters")
        return _validator(json.dumps({} if parameters is None else parameters))
    except (TypeError, ValueError, RecursionError) as error:
        raise _broken_schema(name, str(error).partition("\n")[0]) from error


def _broken_schema(name: object, reason: str) -> RefusedError:
    return RefusedError(
        "tool-schema-invalid",
        f"The parameters of the tool {name!r} are no usable JSON Schema: {_shortened(reason)}",
        hint="Correct the tool's parameters; write what a $ref names into the schema itself.",
    )


@lru_cache(maxsize=_SCHEMAS_KEPT)
def _validator(schema: str) -> "Validator":
    """Compile a schema. A server sees the same few tools again and again."""
    import jsonschema_rs

    return jsonschema_rs.validator_for(json.loads(schema), retriever=_fetch_nothing)


def _fetch_nothing(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not part of the schema, and nothing is fetched")
