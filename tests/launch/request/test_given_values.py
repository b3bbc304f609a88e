"""Values that users give: what may become an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.errors import RefusedError
from k2compat.launch.request.arguments import port, user_value


@given(st.text())
def test_a_value_is_one_argument_or_is_refused(text: str) -> None:
    if text and not text.startswith("-") and text.isprintable():
        assert str(user_value(text, "--image")) == text
    else:
        with pytest.raises(RefusedError) as caught:
            user_value(text, "--image")
        assert caught.value.code == "value-malformed"


@pytest.mark.parametrize("text", ["8000", "08000", "$PORT"])
def test_a_port_is_a_number_or_a_placeholder(text: str) -> None:
    assert str(port(text, "--port")) == text.lstrip("0")


@pytest.mark.parametrize("text", ["0", "65536", "-1", "8000x", "８０００", "9" * 50, "$PORT:1", ""])
def test_anything_else_is_no_port(text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        port(text, "--port")
    assert caught.value.code == "port-malformed"
