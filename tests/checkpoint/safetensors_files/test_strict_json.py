import pytest

from k2compat.checkpoint.safetensors_files.strict_json import (
    JsonError,
    JsonObject,
    OtherNumber,
    load_json,
)


def test_objects_keep_every_pair() -> None:
    assert load_json('{"b": 1, "a": {"b": []}, "b": null}') == JsonObject(
        [("b", 1), ("a", JsonObject([("b", [])])), ("b", None)]
    )


@pytest.mark.parametrize("text", ["1.5", "1e3", "NaN", "Infinity", "-Infinity", "-0", "9" * 5_000])
def test_numbers_that_are_no_plain_integers_keep_their_text(text: str) -> None:
    assert load_json(f"[{text}]") == [OtherNumber(text)]


def test_plain_integers_are_integers() -> None:
    assert load_json("[0, -7, 18446744073709551615]") == [0, -7, 2**64 - 1]


def test_what_is_not_json_says_where() -> None:
    with pytest.raises(JsonError) as error:
        load_json("[1,")
    assert error.value.position == 3


def test_nesting_does_not_exhaust_the_stack() -> None:
    with pytest.raises(JsonError, match="deeply") as error:
        load_json("[" * 100_000)
    assert error.value.position is None
