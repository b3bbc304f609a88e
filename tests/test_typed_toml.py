"""Tables as typed values: what is wrong in one is named with its place."""

from pathlib import Path

import msgspec
import pytest

from k2compat.typed_toml import parse_toml, read_toml


class Table(msgspec.Struct, forbid_unknown_fields=True):
    number: int


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("number = 'x'", r"at `\$.number`"),
        ("numbr = 1\nnumber = 1", "unknown field `numbr`"),
        ("number =", "Invalid value"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_place(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "table.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"table.toml: .*{place}"):
        read_toml(path, Table)
    with pytest.raises(ValueError, match=f"table.toml: .*{place}"):
        parse_toml(text, Table, path)


def test_a_table_is_a_value() -> None:
    assert parse_toml("number = 3", Table, Path("table.toml")) == Table(3)
