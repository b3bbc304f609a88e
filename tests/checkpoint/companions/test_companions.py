"""The files a model needs beside its weights."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from k2compat.checkpoint.companions.companions import (
    auto_map_modules,
    check_companions,
    missing_imports,
    remote_code,
)
from k2compat.checkpoint.sources.source import open_folder_source
from k2compat.errors import RefusedError
from tests.support.file_damage import FILE_DAMAGE
from tests.support.models import make_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def found(model: Path) -> list[tuple[str, str | None]]:
    return [(f.code, f.expected) for f in check_companions(open_folder_source(model))]


def test_a_whole_folder_gives_nothing(model: Path) -> None:
    assert found(model) == []


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_an_absent_config_is_named(model: Path, name: str) -> None:
    (model / name).unlink()
    assert ("companion-missing", name) in found(model)


def test_any_vocabulary_will_do(model: Path) -> None:
    (model / "tiktoken.model").rename(model / "tokenizer.json")
    assert found(model) == []
    (model / "tokenizer.json").unlink()
    ((code, expected),) = found(model)
    assert code == "companion-missing"
    assert "tiktoken.model" in str(expected)


@pytest.mark.parametrize(
    "name", ["configuration_deepseek.py", "modeling_deepseek.py", "tokenization_kimi.py"]
)
def test_a_module_that_auto_map_names_must_be_there(model: Path, name: str) -> None:
    (model / name).unlink()
    assert found(model) == [("remote-code-missing", name)]


def test_a_module_of_another_repo_is_not_looked_for(model: Path) -> None:
    config = {
        "auto_map": {"AutoConfig": "org/repo--configuration.Config", "AutoModel": 3, "x": None}
    }
    (model / "config.json").write_text(json.dumps(config))
    assert found(model) == []


@pytest.mark.parametrize(
    "reference",
    [
        *("../../evil", "..x", "../../evil.Class", "/etc/passwd.Class", "a//b.C", "module", ".C"),
        *("module.", "", ".", "a b.C", "code.configuration.Config", "m\n.C", "\\\\host\\m.C"),
    ],
)
def test_a_value_that_names_no_module_is_said_as_it_is(model: Path, reference: str) -> None:
    auto_map = {"AutoConfig": reference, "AutoTokenizer": [reference, None]}
    (model / "config.json").write_text(json.dumps({"text_config": {"auto_map": auto_map}}))
    (finding,) = check_companions(open_folder_source(model))
    assert finding.code == "auto-map-malformed"
    assert finding.where == f"{model}/config.json"
    assert repr(reference) in finding.message


@given(st.text(alphabet="ab./-_C", max_size=12))
@example("code.configuration.Config")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_transformers_takes_no_value_that_is_called_malformed(
    tmp_path: Path, reference: str
) -> None:
    """What it would load lies in the folder; anything else is no module.Class or leads away."""
    assume("--" not in reference)
    modules = auto_map_modules({"AutoConfig": reference})
    parts = reference.split(".")  # dynamic_module_utils.get_class_from_dynamic_module
    loads = len(parts) == 2 and all(parts)
    inside = loads and not parts[0].startswith("/") and "" not in parts[0].split("/")
    assert bool(modules) == (inside and parts[1].isidentifier())


def test_a_module_in_a_folder_is_a_path(model: Path) -> None:
    reference = "code/configuration.Config"
    config = {"auto_map": {"AutoConfig": reference, "AutoTokenizer": [reference, None]}}
    (model / "config.json").write_text(json.dumps(config))
    assert found(model) == [("remote-code-missing", "code/configuration.py")]


def test_a_wrapped_config_and_a_processor_name_modules_too(model: Path) -> None:
    """As Kimi-K2.5 has them."""
    members = json.loads((model / "config.json").read_text())
    wrapped = {"auto_map": {"AutoModel": "modeling_inner.Model", "AutoConfig": "shared.C"}}
    (model / "config.json").write_text(json.dumps({**members, "text_config": wrapped}))
    for name in ("preprocessor_config.json", "processor_config.json"):
        processor = {
            "auto_map": {"AutoProcessor": "kimi_k25_processor.P", "AutoConfig": "shared.C"}
        }
        (model / name).write_text(json.dumps(processor))
    assert found(model) == [
        ("remote-code-missing", "modeling_inner.py"),
        ("remote-code-missing", "shared.py"),
        ("remote-code-missing", "kimi_k25_processor.py"),
    ]
    assert "text_config" in next(iter(check_companions(open_folder_source(model)))).message


def test_what_a_module_imports_must_be_there_too(model: Path) -> None:
    (model / "modeling_deepseek.py").write_text(
        "from .configuration_deepseek import A\n"
        "try:\n    from .kernels.fast import (\n        B\n    )\nexcept ImportError: pass\n"
        "import .media_utils\n"
        "from .package import C\n"
        "from os import path\n"
    )
    (model / "package").mkdir()
    (model / "package" / "__init__.py").write_text("from .inner import E\nfrom ..lost import F\n")
    (model / "configuration_deepseek.py").write_text("from .modeling_deepseek import A\n")
    assert sorted(found(model)) == [
        ("remote-code-missing", "kernels/fast.py"),
        ("remote-code-missing", "lost.py"),
        ("remote-code-missing", "media_utils.py"),
        ("remote-code-missing", "package/inner.py"),
    ]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("from . import other\n", ["other.py"]),
        ("from.import other;x = 1\n", ["other.py"]),
        ("from . import configuration_deepseek, b as c, d  # e, f\n", ["b.py", "d.py"]),
        ("from . import (\n    a,  # why (not)\n    b as c,\n)\n", ["a.py", "b.py"]),
        ("from . import *\n", []),
        ("from . import package\n", []),
        ("try:\n    from . import fast\nexcept ImportError:\n    fast = None\n", []),
        ("from .package import inner\n", ["package/also.py"]),
    ],
)
def test_a_module_imported_from_the_package_must_be_there(
    model: Path, text: str, missing: list[str]
) -> None:
    (model / "modeling_deepseek.py").write_text(text)
    (model / "package").mkdir()
    (model / "package" / "__init__.py").write_text("from . import own\nfrom .also import x\n")
    if "package" not in text:
        (model / "package" / "__init__.py").write_text("")
    elif missing == []:
        (model / "package" / "also.py").write_text("")
    assert sorted(found(model)) == [("remote-code-missing", name) for name in missing]


PIECES = ["from", "import", " ", ".", "a", "b.c", "\n", "  ", "\t", "(", "from .a import b\n"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
@example("from .a import b\nimport .c\n  from .d.e import (\n")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_imports_are_those_that_transformers_looks_for(tmp_path: Path, text: str) -> None:
    from transformers.dynamic_module_utils import get_relative_imports

    # Transformers takes a statement over several lines, which Python does not; dots in front of
    # a name are parent folders to Python, and a part of the file's name to Transformers.
    assume(not re.search(r"(?:from|import)\s*\n|\.\.|\.\s*import|\S\s*\n\s*import", text))
    (tmp_path / "module.py").write_text(text)
    theirs = get_relative_imports(tmp_path / "module.py")
    findings = missing_imports(open_folder_source(tmp_path), ["module.py"])
    assert {one.expected for one in findings} == {name.replace(".", "/") + ".py" for name in theirs}


def test_a_ring_of_imports_and_many_modules_end(model: Path) -> None:
    for number in range(300):
        (model / f"m{number}.py").write_text(f"from .m{number + 1} import x\nfrom .m0 import y\n")
    members = {"auto_map": {"AutoConfig": "m0.C"}}
    (model / "config.json").write_text(json.dumps(members))
    assert found(model) == []


def test_a_module_that_cannot_be_read_is_reported_once(model: Path) -> None:
    (model / "modeling_deepseek.py").unlink()
    (model / "modeling_deepseek.py").mkdir()
    assert found(model) == [("file-is-directory", None)]


def test_a_module_cannot_lead_out_of_the_folder_or_draw_on_the_terminal(model: Path) -> None:
    auto_map = {
        "a": "../../etc/passwd.X",
        "b": "/etc/passwd.Y",
        "c": "\x1b[31m.Z",
        "d": "m" * 999 + ".W",
    }
    (model / "config.json").write_text(json.dumps({"auto_map": auto_map}))
    findings = list(check_companions(open_folder_source(model)))
    codes = sorted(finding.code for finding in findings)
    assert codes == ["auto-map-malformed"] * 3 + ["remote-code-missing"]
    assert all((f.message + f.where).isprintable() for f in findings)
    assert max(len(f.message) for f in findings) < 400


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda path: path.write_text("{"), "companion-damaged"),
        (lambda path: path.write_bytes(b"\xff\xfe{"), "companion-damaged"),
        *FILE_DAMAGE.values(),
    ],
)
def test_a_damaged_config_is_a_finding(
    model: Path, damage: Callable[[Path], object], code: str
) -> None:
    damage(model / "config.json")
    assert found(model) == [(code, None)]


def test_remote_code_is_named_with_its_digest(model: Path) -> None:
    (model / "tokenization_kimi.py").write_bytes(b"")
    source = open_folder_source(model)
    (finding,) = remote_code(source, ["tokenization_kimi.py"])
    assert finding.code == "remote-code"
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert finding.items == (f"sha256:{empty}  tokenization_kimi.py",)
    assert f"tokenization_kimi.py (sha256:{empty})" in finding.message
    assert list(remote_code(source, [])) == []


def test_remote_code_that_cannot_be_read_is_refused_by_name(model: Path) -> None:
    (model / "tokenization_kimi.py").unlink()
    (model / "tokenization_kimi.py").symlink_to("nowhere")
    with pytest.raises(RefusedError, match="is a link to nothing") as caught:
        list(remote_code(open_folder_source(model), ["tokenization_kimi.py"]))
    assert caught.value.code == "not-readable"
