"""Entry points: light, lazy, and harmless whatever the engine looks like."""

import logging
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from k2compat.toolcalls.plugins import late
from k2compat.toolcalls.plugins import sglang as sglang_plugin
from k2compat.toolcalls.plugins import vllm as vllm_plugin
from k2compat.toolcalls.plugins.choice import REPLACE
from k2compat.toolcalls.plugins.late import when_imported

ROOT = Path(__file__).parents[3]
GROUPS = ("vllm.general_plugins", "sglang.srt.plugins")


@pytest.mark.parametrize("group", GROUPS)
def test_the_distribution_names_the_entry_point(group: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (value,) = project["entry-points"][group].values()
    module, _, function = value.partition(":")
    assert getattr(import_module(module), function)() is None
    late._FINDER.actions.clear()


def test_it_imports_the_standard_library_alone() -> None:
    program = """
import sys
before = set(sys.modules)
from k2compat.toolcalls.plugins import sglang, vllm
vllm.register(), sglang.register()
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""
    answer = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    loaded = set(answer.stdout.decode().split()) - {"k2compat", "regex"}
    assert loaded <= sys.stdlib_module_names
    assert answer.stderr == b""


@pytest.mark.parametrize(("asked", "replaced"), [("", False), ("0", False), ("1", True)])
def test_vllm_s_own_parser_is_replaced_only_on_request(
    engines: Path, monkeypatch: pytest.MonkeyPatch, asked: str, replaced: bool
) -> None:
    monkeypatch.setenv(REPLACE, asked)
    vllm_plugin.register()
    tools = import_module("vllm.tool_parsers").ToolParserManager.lazy_parsers
    reasoning = import_module("vllm.reasoning").ReasoningParserManager.lazy_parsers
    for lazy in (tools, reasoning):
        assert lazy["k2compat"][0] == "k2compat.toolcalls.plugins.vllm_parsers"
        assert (lazy["kimi_k2"] == lazy["k2compat"]) is replaced


def test_registering_twice_does_no_harm(engines: Path) -> None:
    vllm_plugin.register()
    vllm_plugin.register()
    manager = import_module("vllm.tool_parsers").ToolParserManager
    first = manager.get_tool_parser("k2compat")
    vllm_plugin.register()
    assert manager.get_tool_parser("k2compat") is first


@pytest.mark.parametrize("register", [vllm_plugin.register, sglang_plugin.register])
def test_a_broken_interface_is_logged_and_never_raises(
    register: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = ("vllm.tool_parsers", "vllm.reasoning", "sglang.srt.function_call.function_call_parser")
    for name in names:
        folder = tmp_path.joinpath(*name.split("."))
        folder.mkdir(parents=True)
        folder.joinpath("__init__.py").write_text("ToolParserManager = object\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert callable(register)
    register()
    try:
        with caplog.at_level(logging.ERROR):
            for name in names:
                import_module(name)
    finally:
        for name in list(sys.modules):
            if name.partition(".")[0] in ("vllm", "sglang") or name.endswith("sglang_detector"):
                del sys.modules[name]
        late._FINDER.actions.clear()
    assert "does not fit this version" in caplog.text


class TestWhenImported:
    def test_a_module_that_is_there_already(self) -> None:
        seen: list[object] = []
        when_imported("json", seen.append)
        assert seen == [sys.modules["json"]]

    def test_a_module_that_comes_later(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tmp_path.joinpath("comes_later.py").write_text("value = 1\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        seen: list[int] = []
        when_imported("comes_later", lambda module: seen.append(module.value))
        when_imported("comes_later", lambda module: seen.append(module.value + 1))
        assert seen == []
        module = import_module("comes_later")
        assert seen == [1, 2]
        assert type(module.__loader__).__name__ == "SourceFileLoader"
        del sys.modules["comes_later"]

    def test_a_module_that_never_comes(self) -> None:
        when_imported("never_comes", print)
        with pytest.raises(ModuleNotFoundError):
            import_module("never_comes")
        assert "never_comes" in late._FINDER.actions
        late._FINDER.actions.clear()

    def test_the_loader_is_the_module_s_own_to_all_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tmp_path.joinpath("looked_at.py").write_text("value = 1\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        when_imported("looked_at", print)
        spec = late._FINDER.find_spec("looked_at", None)
        assert spec is not None
        assert spec.loader is not None
        assert spec.loader.get_source("looked_at") == "value = 1\n"  # type: ignore[attr-defined]
