"""A mistake in the table of tensors is refused with its place."""

from pathlib import Path

import pytest

from k2compat.checkpoint.model import rules
from k2compat.checkpoint.model.rules import TensorRules
from k2compat.typed_toml import read_toml

TABLE = Path(rules.__file__).with_name("tensor_rules.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('where = "outside"', 'where = "outsides"', r"'outsides' - at `\$.tensor\[0\].where`"),
        ("least = 1", 'least = "1"', r"Expected `int`, got `str` - at `\$.size\[...\].least`"),
        ('kind = "legacy"', 'kinds = "legacy"', r"unknown field `kinds` - at `\$.tensor\[\d+\]`"),
        ("[role.exact]", "[role.exact", r"table.toml: "),
    ],
)
def test_a_mistake_is_refused_with_its_place(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in TABLE
    path = tmp_path / "table.toml"
    path.write_text(TABLE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=words) as refused:
        read_toml(path, TensorRules)
    assert str(path) in str(refused.value)
