"""Where requests go, and what is refused before one is sent."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from k2compat.endpoint.target import base_url, model_of, read_key, refuse_without_extra
from k2compat.errors import RefusedError


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://node7:8000", "http://node7:8000/v1"),
        ("http://node7:8000/", "http://node7:8000/v1"),
        ("http://node7:8000/v1/", "http://node7:8000/v1"),
        ("https://api.example.org/kimi/v1", "https://api.example.org/kimi/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_a_url_is_the_base_of_the_api(url: str, base: str) -> None:
    assert base_url(url) == base


@pytest.mark.parametrize(
    "url",
    [
        "node7:8000",
        "",
        "ftp://node7/v1",
        "http://",
        "http://node7:port/v1",
        "http://[::1/v1",
        "http://node7/v1?key=1",
        "http://node7/v1#x",
    ],
)
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(RefusedError) as caught:
        base_url(url)
    assert caught.value.code == "endpoint-url"


@pytest.mark.parametrize(
    ("url", "example"),
    [
        ("node7:8000", "http://node7:8000"),
        ("127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("node7:8000/$(id)", "http://127.0.0.1:8000/v1"),
        ("node7", "http://127.0.0.1:8000/v1"),
    ],
)
def test_a_host_without_a_scheme_is_shown_with_one(url: str, example: str) -> None:
    with pytest.raises(RefusedError) as caught:
        base_url(url)
    assert caught.value.hint == f"k2compat check-endpoint {example}"


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(RefusedError) as caught:
        base_url("http://root:hunter2@node7/v1")
    assert "hunter2" not in caught.value.message


def test_the_key_is_the_first_line_that_holds_one(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("# for node7\n\n  sk-1 \nsk-2\n")
    assert read_key(path) == "sk-1"


@pytest.mark.parametrize("content", [b"", b"# none\n", b"two words", b"\xff", b"a\x01b"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(RefusedError) as caught:
        read_key(path)
    assert caught.value.code == "endpoint-key-refused"
    assert "a\x01b" not in caught.value.message


def test_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="No such file"):
        read_key(tmp_path / "absent")


def test_the_only_model_is_asked_for() -> None:
    assert model_of({"data": [{"id": "kimi"}, {"id": 7}, "x"]}, "http://x/v1") == "kimi"


@pytest.mark.parametrize("models", [None, [], {}, {"data": None}, {"data": [{"name": "kimi"}]}])
def test_without_a_list_of_models_a_name_is_needed(models: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        model_of(models, "http://x/v1")
    assert caught.value.hint == "If URL is right, name the model: --model NAME"


def test_of_several_models_one_must_be_named() -> None:
    with pytest.raises(RefusedError, match="serves 2 models: a, b") as caught:
        model_of({"data": [{"id": "a"}, {"id": "b"}]}, "http://x/v1")
    assert caught.value.hint == "Name one: --model a"


def test_the_name_of_a_model_is_quoted_for_a_shell() -> None:
    with pytest.raises(RefusedError) as caught:
        model_of({"data": [{"id": "$(id)"}, {"id": "b"}]}, "http://x/v1")
    assert caught.value.hint == "Name one: --model '$(id)'"


def test_without_aiohttp_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_without_extra()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(RefusedError) as caught:
        refuse_without_extra()
    assert caught.value.hint == "pip install 'k2compat[serve]'"
