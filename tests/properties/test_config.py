"""What holds for every config, however it is written."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2compat.config import plan_patch, unified_diff
from k2compat.config.spans import locate
from k2compat.errors import RefusedError
from tests.support.json_texts import ConfigFile, config_files, objects, spelled, values

places = pytest.mark.parametrize("at", [None, "text_config"])


def patched(data: bytes, to: str, at: str | None) -> bytes:
    return plan_patch(data, to=to, where="config.json", at=at).new


@places
@given(data=st.data())
def test_only_the_value_s_bytes_change(at: str | None, data: st.DataObject) -> None:
    file = data.draw(config_files(at))
    new = patched(file.holding("kimi_k2"), "deepseek_v3", at)
    assert new == file.holding("deepseek_v3")


@places
@given(data=st.data())
def test_there_and_back_is_byte_identical(at: str | None, data: st.DataObject) -> None:
    old = data.draw(config_files(at)).holding("kimi_k2")
    assert patched(patched(old, "deepseek_v3", at), "kimi_k2", at) == old


@places
@given(data=st.data(), model_type=st.sampled_from(["kimi_k2", "deepseek_v3"]))
def test_a_second_patch_has_nothing_to_do(
    at: str | None, data: st.DataObject, model_type: str
) -> None:
    old = data.draw(config_files(at)).holding(model_type)
    patch = plan_patch(old, to=model_type, where="config.json", at=at)
    assert not patch.changes
    assert unified_diff(patch, "config.json") == ""


@given(file=config_files(), place=st.sampled_from(["first", "last"]), key=spelled("model_type"))
def test_a_repeated_model_type_at_its_level_is_refused(
    file: ConfigFile, place: str, key: str
) -> None:
    text = file.holding("kimi_k2").decode("utf-8-sig").strip()
    inner = text.removeprefix("{").removesuffix("}")
    second = f'{key}: "deepseek_v3"'
    members = f"{second},{inner}" if place == "first" else f"{inner},{second}"
    with pytest.raises(RefusedError) as caught:
        plan_patch(("{" + members + "}").encode(), to="deepseek_v3", where="config.json")
    assert caught.value.code == "config-duplicate-key"


@given(text=objects(values), data=st.data())
def test_locate_finds_what_the_json_module_finds(text: str, data: st.DataObject) -> None:
    root = json.loads(text, object_pairs_hook=Pairs)
    path = data.draw(st.sampled_from([*_paths(root), ("a",), ("a", "a"), ("absent",)]))
    found, expected = locate(text, path), _at(root, path)
    assert len(found) == len(expected)
    assert all(_agree(member.token, value) for member, value in zip(found, expected, strict=True))
    assert all(text[member.start : member.end] == member.token for member in found)


class Pairs(list[tuple[str, Any]]):
    """An object as the json module saw it, repeated keys included."""


def _paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all members that are reached through objects alone."""
    if not isinstance(value, Pairs):
        return []
    inner = [found for key, member in value for found in _paths(member, (*path, key))]
    return [(*path, key) for key, _ in value] + inner


def _at(value: Any, path: tuple[str, ...]) -> list[Any]:
    if not path:
        return [value]
    if not isinstance(value, Pairs):
        return []
    return [found for key, member in value if key == path[0] for found in _at(member, path[1:])]


def _agree(token: str, value: Any) -> bool:
    if token in ("{", "["):
        return isinstance(value, list) and isinstance(value, Pairs) == (token == "{")
    return repr(json.loads(token)) == repr(value)  # as text, for nan equals nothing
