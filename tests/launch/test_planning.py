"""What every engine's plan has in common."""

import pytest

from k2compat.errors import RefusedError
from tests.launch.support import argv, codes, plan


def test_open_placeholders_are_named_with_their_commands() -> None:
    found = plan("vllm", "$MODEL_PATH", nodes=("$A", "10.0.0.2"))
    told = {
        finding.actual: finding.where
        for finding in found.findings
        if finding.code == "placeholder-open"
    }
    assert told == {
        "$MODEL_PATH": "serve-node0, serve-node1",
        "$A": "serve-node0, serve-node1",
        "$INTERFACE": "serve-node0, serve-node1",
    }
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
