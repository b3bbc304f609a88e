"""The table of schemes, of which each entry is read by itself."""

import tomllib
from pathlib import Path

import pytest

from k2compat.checkpoint.model import schemes


def test_each_scheme_of_the_table_is_there() -> None:
    path = Path(schemes.__file__).with_name("schemes.toml")
    whole = tomllib.loads(path.read_text("utf-8"))["scheme"]
    assert list(schemes.SCHEMES) == list(whole)
    assert len(schemes.SCHEMES) == len(whole)
    for name, members in whole.items():
        assert len(schemes.SCHEMES[name].tensors) == len(members["tensors"])


def test_another_name_is_none_of_them() -> None:
    with pytest.raises(KeyError):
        schemes.SCHEMES["int3"]
