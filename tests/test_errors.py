"""What an error carries."""

import pytest

from k2compat.errors import reading


def test_the_innermost_file_is_noted_first() -> None:
    with pytest.raises(MemoryError) as caught, reading("folder"), reading("folder/file"):
        raise MemoryError
    assert caught.value.__notes__ == ["folder/file", "folder"]


def test_another_error_gets_no_note() -> None:
    with pytest.raises(KeyError) as caught, reading("file"):
        raise KeyError
    assert not hasattr(caught.value, "__notes__")
