"""The settings: where they come from, and what is wrong with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from k2compat.errors import RefusedError
from k2compat.gateway.service import make_gateway, options_of
from k2compat.gateway.settings import (
    Settings,
    base_url,
    is_loopback,
    listen_address,
    read_keys,
    read_settings,
)
from tests.support.models import make_model

URL = "http://127.0.0.1:8000/v1"


def settings(flags: Any = None, environment: Any = None, config: Path | None = None) -> Settings:
    return read_settings({"upstream": URL} | (flags or {}), environment or {}, config)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "serve.toml"


class TestWhereTheyComeFrom:
    def test_flags_go_before_variables_and_those_before_a_file(self, config: Path) -> None:
        config.write_text("grace = 1\ngap-timeout = 1\nheartbeat = 1\nskip = ['roles']\n")
        variables = {
            "K2COMPAT_SERVE_GAP_TIMEOUT": "2",
            "K2COMPAT_SERVE_HEARTBEAT": "2.5",
            "K2COMPAT_SERVE_CONFIG": str(config),
            "K2COMPAT_SERVE_MODEL": "",
            "OTHER": "1",
        }
        made = settings({"heartbeat": 3}, variables, config)
        assert (made.grace, made.gap_timeout, made.heartbeat) == (1, 2, 3)
        assert made.skip == ("roles",)

    def test_a_variable_holds_several_steps_and_a_switch(self) -> None:
        variables = {"K2COMPAT_SERVE_SKIP": "roles, extras", "K2COMPAT_SERVE_OPEN": "true"}
        made = settings({}, variables)
        assert made.skip == ("roles", "extras")
        assert made.open

    @pytest.mark.parametrize(
        ("text", "size"), [("7", 7), ("2KiB", 2048), ("1 mib", 1 << 20), ("1GiB", 1 << 30)]
    )
    def test_sizes_have_units(self, text: str, size: int) -> None:
        assert settings({"body_limit": text}).body_limit == size

    def test_a_key_is_not_shown(self) -> None:
        made = settings({}, {"K2COMPAT_SERVE_UPSTREAM_KEY": "secret"})
        assert made.upstream_key == "secret"
        assert made.shown()["upstream_key"] == "(set)"
        assert settings().shown()["upstream_key"] is None


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            ({"upstream": "node7:8000"}, "--upstream from the command line must be a URL"),
            ({"upstream": "ftp://a"}, "must be a URL"),
            ({"upstream": "http://"}, "must be a URL"),
            ({"upstream": "http://a:0/v1"}, "must be a URL"),
            ({"upstream": "http://a:99999/v1"}, "is not a URL"),
            ({"upstream": "http://user:key@a/v1"}, "must not hold a key"),
            ({"upstream": "http://a/v1?x=1"}, "no query"),
            ({"listen": "8100"}, "--listen from the command line must be ADDRESS:PORT"),
            ({"listen": "a:99999"}, "must be ADDRESS:PORT"),
            ({"listen": "0.0.0.0:1"}, "give --key-file, or --open"),
            ({"listen": "node7:1"}, "give --key-file, or --open"),
            ({"skip": ["nothing"]}, "names the step 'nothing'; the steps are remove-fields, "),
            ({"gap_timeout": -1}, "--gap-timeout .* must be a number of seconds"),
            ({"gap_timeout": "inf"}, "--gap-timeout .* must be a number of seconds"),
            ({"gap_timeout": "x"}, "--gap-timeout from the command line: Expected `float`"),
            ({"max_streams": 0}, "--max-streams .* must be at least 1"),
            ({"body_limit": "x"}, "--body-limit .* must be a size such as 32MiB"),
            ({"body_limit": "0"}, "--body-limit .* must be at least 1"),
            ({"engine": "tgi"}, "--engine .*: Invalid enum value 'tgi'"),
        ],
    )
    def test_the_setting_and_its_place_are_named(self, flags: Any, words: str) -> None:
        with pytest.raises(RefusedError, match=words) as caught:
            settings(flags)
        assert caught.value.code == "serve-settings"

    def test_an_upstream_is_needed(self) -> None:
        with pytest.raises(RefusedError, match="--upstream is missing"):
            read_settings({}, {}, None)

    def test_a_variable_that_is_no_setting(self) -> None:
        words = r"K2COMPAT_SERVE_UPSTRAEM names no setting; K2COMPAT_SERVE_UPSTREAM is one\.$"
        with pytest.raises(RefusedError, match=words):
            settings({}, {"K2COMPAT_SERVE_UPSTRAEM": "x"})
        with pytest.raises(RefusedError, match=r"K2COMPAT_SERVE_QQ names no setting\.$"):
            settings({}, {"K2COMPAT_SERVE_QQ": "x"})

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("upstream = ", "is not a TOML file"),
            (
                "max-steams = 3",
                r"has the key 'max-steams', which is no setting; max-streams is one\.$",
            ),
            ("qq = 'x'", r"has the key 'qq', which is no setting\.$"),
            ("upstream_key = 'x'", "'upstream_key', which is no setting; upstream-key-file is one"),
            ("grace = 'x'", r"--grace from .*serve.toml: Expected `float`"),
        ],
    )
    def test_a_file(self, config: Path, text: str, words: str) -> None:
        config.write_text(text)
        with pytest.raises(RefusedError, match=words):
            settings({}, {}, config)

    def test_a_file_that_is_not_there(self, config: Path) -> None:
        path = config.with_name("a; reboot.toml")
        with pytest.raises(RefusedError, match="cannot be read: No such file") as caught:
            settings({}, {}, path)
        assert caught.value.hint == f"ls -l '{path}'"


class TestAddresses:
    @pytest.mark.parametrize(
        ("listen", "address"),
        [("127.0.0.1:8100", ("127.0.0.1", 8100)), ("[::1]:0", ("::1", 0)), (":80", ("", 80))],
    )
    def test_address_and_port(self, listen: str, address: tuple[str, int]) -> None:
        assert listen_address(listen) == address

    @pytest.mark.parametrize(
        ("host", "answer"),
        [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True)]
        + [(host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "", "node7")],
    )
    def test_only_loopback_is_this_machine_alone(self, host: str, answer: bool) -> None:
        assert is_loopback(host) == answer

    @pytest.mark.parametrize(
        ("listen", "more"),
        [("0.0.0.0:1", {"open": True}), ("0.0.0.0:1", {"key_file": "x"}), ("[::1]:1", {})],
    )
    def test_other_machines_come_in_with_a_key_or_where_it_is_wanted(
        self, listen: str, more: Any
    ) -> None:
        assert settings({"listen": listen} | more).listen == listen

    @pytest.mark.parametrize(
        ("upstream", "base"),
        [
            ("http://a:1", "http://a:1/v1"),
            ("http://a:1/", "http://a:1/v1"),
            ("http://a:1/v1/", "http://a:1/v1"),
            ("https://a/api/openai", "https://a/api/openai"),
        ],
    )
    def test_a_url_without_a_path_gets_the_api_s(self, upstream: str, base: str) -> None:
        assert base_url(upstream) == base


class TestKeys:
    def test_one_a_line(self, tmp_path: Path) -> None:
        (tmp_path / "keys").write_bytes(b"# ours\none\n\n two \r\n")
        assert read_keys(str(tmp_path / "keys")) == (b"one", b"two")

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (None, "cannot be read"),
            (b"\n# none\n", "holds no key"),
            (b"a b\n", "no header can hold"),
            ("schlüssel".encode(), "no header can hold"),
        ],
    )
    def test_a_file_without_a_usable_key(
        self, tmp_path: Path, content: bytes | None, words: str
    ) -> None:
        path = tmp_path / "keys"
        if content is not None:
            path.write_bytes(content)
        for name in ("key_file", "upstream_key_file"):
            with pytest.raises(RefusedError, match=words) as caught:
                make_gateway(settings({name: str(path)}))
            assert b"schl" not in caught.value.message.encode()


def make_folder(folder: Path) -> None:
    """A model's folder without a chat template."""
    make_model(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config.pop("chat_template", None)
    path.write_text(json.dumps(config))
    (folder / "chat_template.jinja").unlink(missing_ok=True)


class TestAFolder:
    def test_it_gives_ids_special_texts_and_the_mode(self, tmp_path: Path) -> None:
        make_folder(tmp_path)
        made = options_of(settings({"folder": str(tmp_path)}))
        assert "<|tool_call_begin|>" in made.marker_ids.values()
        assert "<|im_end|>" in made.special_texts
        assert made.reasoning == "tagged"
        assert (
            options_of(settings({"folder": str(tmp_path), "reasoning": "off"})).reasoning == "off"
        )

    @pytest.mark.parametrize(
        ("token", "is_special"),
        [
            ({"content": "<|own|>", "special": False}, True),
            ({"content": "[OWN]"}, True),
            ("<|plain|>", True),
            ({"content": "⟦own⟧", "special": True}, True),
            ({"content": "@word", "special": False}, False),
            ({"content": "<s", "special": True}, False),
            ({"content": 1}, False),
            (None, False),
        ],
    )
    def test_which_added_tokens_are_more_than_text(
        self, tmp_path: Path, token: Any, is_special: bool
    ) -> None:
        make_folder(tmp_path)
        path = tmp_path / "tokenizer_config.json"
        config = json.loads(path.read_text())
        config["added_tokens_decoder"]["163900"] = token
        path.write_text(json.dumps(config))
        own = options_of(settings({"folder": str(tmp_path)})).special_texts
        text = token.get("content") if isinstance(token, dict) else token
        assert (text in own) == is_special

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("tokenizer_config.json", None, "cannot be read"),
            ("tokenizer_config.json", b"{", "is not a JSON text"),
            ("tokenizer_config.json", b"[]", "does not hold a JSON object"),
            ("tokenizer_config.json", b"{}", "is not Kimi-K2's"),
            ("config.json", None, "cannot be read"),
        ],
    )
    def test_another_folder_is_refused(
        self, tmp_path: Path, name: str, content: bytes | None, words: str
    ) -> None:
        make_folder(tmp_path)
        (tmp_path / name).unlink()
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(RefusedError, match=words):
            options_of(settings({"folder": str(tmp_path)}))

    def test_a_folder_that_does_not_exist_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(RefusedError, match="nowhere is no folder"):
            options_of(settings({"folder": str(tmp_path / "nowhere")}))

    def test_the_chat_template_tells_the_mode(self, tmp_path: Path) -> None:
        make_folder(tmp_path)
        template = "{{ '<think>' }}{% if add_generation_prompt %}<think>{% endif %}"
        (tmp_path / "chat_template.jinja").write_text(template)
        assert options_of(settings({"folder": str(tmp_path)})).reasoning == "prefilled"
        (tmp_path / "chat_template.jinja").write_text("no thoughts")
        assert options_of(settings({"folder": str(tmp_path)})).reasoning == "off"

    def test_kimi_k25_ends_its_prompt_inside_the_thoughts(self, tmp_path: Path) -> None:
        make_folder(tmp_path)
        (tmp_path / "config.json").write_text('{"model_type": "kimi_k25"}')
        assert options_of(settings({"folder": str(tmp_path)})).reasoning == "prefilled"


def test_without_a_folder_the_family_s_own_ids_are_used() -> None:
    made = options_of(settings({"engine": "vllm", "model": "k", "marker_text": "pass"}))
    assert (made.engine, made.model, made.marker_text) == ("vllm", "k", "pass")
    assert made.marker_ids[163597] == "<|tool_call_begin|>"
