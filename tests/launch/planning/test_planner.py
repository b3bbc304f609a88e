"""What every engine's plan has in common."""

import pytest

from k2compat.errors import RefusedError
from k2compat.launch.flags import newest_version
from tests.launch.support import argv, codes, plan

NEWEST = newest_version("vllm")


def test_open_placeholders_are_one_finding_that_names_them() -> None:
    found = plan("vllm", "$MODEL_PATH", nodes=("$A", "10.0.0.2"))
    told = [finding for finding in found.findings if finding.code == "placeholder-open"]
    assert [set(finding.items) for finding in told] == [{"$MODEL_PATH", "$A", "$INTERFACE"}]
    assert told[0].message.endswith(" are not known yet: set them where the commands are run.")
    assert {placeholder.name for placeholder in found.placeholders} == {
        "MODEL_PATH",
        "A",
        "INTERFACE",
    }
    assert [node.name for node in found.nodes] == ["node0", "node1"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"strategy": "pd"}, "strategy-not-offered"),
        ({"strategy": "tp-pp", "profile": "guide"}, "strategy-not-offered"),
        ({"engine_version": "main"}, "engine-version-invalid"),
        ({"prefill": ("a",), "decode": ("b",)}, "strategy-not-offered"),
        ({"strategy": "tp", "prefill": ("a",), "decode": ("b",)}, "cluster-groups"),
    ],
)
def test_what_cannot_be_planned_is_refused(options: dict[str, object], code: str) -> None:
    with pytest.raises(RefusedError) as caught:
        plan("vllm", **options)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_a_hostile_model_name_is_one_argument() -> None:
    name = "/models/$(reboot) 'a\" {port}"
    assert name in argv(plan("vllm", name).commands[0])


def test_a_sound_request_has_nothing_to_say(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert codes(plan("vllm", nodes=("10.0.0.1",))) == ["model-assumed"]


def test_many_open_placeholders_are_counted() -> None:
    found = plan("vllm", nodes=tuple(f"$N{number}" for number in range(16)), strategy="dp-ep")
    (told,) = [finding for finding in found.findings if finding.code == "placeholder-open"]
    assert "and 13 more are not known yet" in told.message
    assert told.count == len(told.items) == 17


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("0.9.2", "0.9.2 is older than 0.10.0"),
        ("v0.10.0", None),
        ("0.20.1", None),
        (f"{NEWEST}.post1", None),
        ("1.2", f"1.2 is newer than {NEWEST}"),
    ],
)
def test_a_version_outside_of_the_tables_is_named(version: str, told: str | None) -> None:
    found = plan("vllm", engine_version=version)
    messages = [each.message for each in found.findings if each.code == "engine-version-unknown"]
    assert len(messages) == (told is not None)
    assert told is None or told in messages[0]
    assert found.engine_version == version.removeprefix("v")
    assert ("tool-parser-missing" in codes(found)) is (version == "0.9.2")


@pytest.mark.parametrize(("engine", "instead"), [("vllm", "llm-d"), ("trtllm", "disaggregated")])
def test_prefill_and_decode_apart_are_refused_by_name(engine: str, instead: str) -> None:
    with pytest.raises(RefusedError) as caught:
        plan(engine, strategy="pd")
    assert caught.value.code == "strategy-not-offered"
    assert instead in caught.value.hint
    assert "--strategy pd with sglang" in caught.value.hint
