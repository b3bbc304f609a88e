"""--draft in a plan: flags, settings files, versions, the fit, the nodes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from k2compat.errors import RefusedError
from k2compat.findings import Severity
from k2compat.launch.flags import values_of
from k2compat.launch.memory.sizes import ModelSizes, model_sizes
from k2compat.launch.plan import Plan
from k2compat.launch.planning.checks import fits_of
from k2compat.launch.planning.formats import for_format
from k2compat.launch.planning.planner import plan_launch
from k2compat.launch.preflight.preflight import preflight_plan
from k2compat.launch.render import FORMATS, as_document, render_plan
from k2compat.launch.request.cluster import Cluster, nodes_at
from k2compat.launch.request.draft import read_draft
from k2compat.launch.request.model import LaunchModel, read_model
from k2compat.launch.request.request import Request
from tests.launch.support import argv, codes, plan
from tests.support.draft_folders import MLA, write_draft

NAME = "lightseekorg/kimi-k2.5-eagle3-mla"
VISION = "moonshotai/Kimi-K2.5"
TWO = ("10.0.0.1", "10.0.0.2")
OWN_LAYER = LaunchModel(
    read_model("K2").name, {**read_model("K2").config, "num_nextn_predict_layers": 1}
)


def drafted(engine: str, draft: str = NAME, model: str = VISION, **options: Any) -> Plan:
    return plan(engine, model, draft=read_draft(draft, read_model(model)), **options)


def errors(made: Plan) -> list[str]:
    return [each.code for each in made.findings if each.severity is Severity.ERROR]


def words(made: Plan) -> list[str]:
    server = made.server("")
    assert server is not None
    return argv(server)


def settings(made: Plan) -> dict[str, Any]:
    """The settings file of TensorRT-LLM."""
    text = next(each.files["trtllm.yml"] for each in made.commands if each.files)
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_the_published_commands() -> None:
    vllm = drafted("vllm")
    assert values_of(words(vllm), "--speculative-config") == [
        '{"method":"eagle3","model":"lightseekorg/kimi-k2.5-eagle3-mla","num_speculative_tokens":3}'
    ]
    sglang = words(drafted("sglang"))
    for flag, value in {
        "--speculative-algorithm": "EAGLE3",
        "--speculative-draft-model-path": NAME,
        "--speculative-num-steps": "3",
        "--speculative-eagle-topk": "1",
        "--speculative-num-draft-tokens": "4",
    }.items():
        assert values_of(sglang, flag) == [value]
    trtllm = drafted("trtllm", model="nvidia/Kimi-K2.5-NVFP4")
    assert settings(trtllm)["speculative_config"] == {
        "decoding_type": "Eagle3",
        "max_draft_len": 3,
        "speculative_model_dir": NAME,
    }
    for made in (vllm, drafted("sglang"), trtllm):
        assert errors(made) == []
        assert "draft-settings" in codes(made)


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("vllm", '{"method":"mtp","num_speculative_tokens":1}'),
        ("sglang", "EAGLE"),
        ("trtllm", {"decoding_type": "MTP", "num_nextn_predict_layers": 1}),
    ],
)
def test_the_model_s_own_layer(engine: str, expected: object) -> None:
    draft = read_draft("mtp", OWN_LAYER)
    made = plan_launch(Request(engine=engine, model=OWN_LAYER, draft=draft))
    assert errors(made) == []
    if engine == "trtllm":
        assert settings(made)["speculative_config"] == expected
    else:
        assert expected in words(made)
    assert as_document(made)["draft"] == {"kind": "mtp"}
    sizes = model_sizes(OWN_LAYER.config)
    assert isinstance(sizes, ModelSizes)
    request = Request(engine=engine, model=OWN_LAYER, draft=draft, cluster=Cluster((), gpu="b300"))
    assert fits_of(plan_launch(request), sizes)[""].draft_gib > 1


def test_vllm_before_011_names_the_method_otherwise() -> None:
    request = Request(
        engine="vllm",
        model=OWN_LAYER,
        draft=read_draft("mtp", OWN_LAYER),
        engine_version="0.10.0",
    )
    assert any("deepseek_mtp" in word for word in words(plan_launch(request)))


@pytest.mark.parametrize(
    ("engine", "model", "draft", "last_without", "first"),
    [
        ("vllm", VISION, NAME, "0.17.1", "0.18.0"),
        ("vllm", "K2", NAME, "0.17.1", "0.18.0"),
        ("sglang", "K2", "eagle3", "0.5.4", "0.5.5"),
        ("sglang", VISION, "eagle3", "0.5.9", "0.5.10"),
        ("sglang", VISION, NAME, "0.5.11", "0.5.12"),
        ("trtllm", VISION, NAME, "1.2.0", "1.3.0rc29"),
    ],
)
def test_the_first_version_with_a_draft(
    engine: str, model: str, draft: str, last_without: str, first: str
) -> None:
    old, new = (
        codes(drafted(engine, draft, model, engine_version=version))
        for version in (last_without, first)
    )
    assert old.count("draft-unsupported") == 1
    assert "draft-unsupported" not in new


def test_sglang_takes_one_layer_of_mla(tmp_path: Path) -> None:
    for config, expected in ((MLA, False), ({**MLA, "num_hidden_layers": 2}, True)):
        folder = write_draft(tmp_path / "draft", config, {"fc.weight": (2, 2)})
        assert ("draft-unsupported" in codes(drafted("sglang", str(folder)))) is expected
        assert "draft-unsupported" not in codes(drafted("vllm", str(folder)))


def test_no_pipeline_stages_with_vllm() -> None:
    assert "draft-unsupported" in codes(drafted("vllm", nodes=TWO, strategy="tp-pp"))
    assert "draft-unsupported" in codes(drafted("vllm", settings=("pipeline-parallel-size=2",)))
    assert "draft-unsupported" not in codes(drafted("vllm", strategy="tp-pp"))
    assert "draft-unsupported" not in codes(drafted("sglang", nodes=TWO, strategy="tp-pp"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "ktransformers"}, "ktransformers#2007"),
        ({"engine": "vllm", "profile": "guide"}, "Leave --profile guide out."),
    ],
)
def test_where_no_draft_is_rendered_it_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError) as caught:
        drafted(options.pop("engine"), **options)
    assert caught.value.code == "draft-not-offered"
    assert words in str(caught.value.hint)


def test_a_setting_of_the_user_goes_before() -> None:
    made = drafted("sglang", settings=("speculative-num-steps=5",))
    assert values_of(words(made), "--speculative-num-steps") == ["5"]


def test_a_goal_and_a_draft_go_together() -> None:
    made = drafted("sglang", gpu="h200", goal="throughput")
    assert {"goal-chosen", "draft-settings"} <= set(codes(made))
    assert "--attn-dp-size" in words(made)
    assert "--speculative-algorithm" in words(made)


def test_prefill_and_decode_both_draft() -> None:
    made = drafted("sglang", prefill=TWO, decode=("10.0.0.3", "10.0.0.4"))
    for group in ("prefill", "decode"):
        server = made.server(group)
        assert server is not None
        assert "--speculative-draft-model-path" in argv(server)
    assert errors(made) == []


def test_a_path_may_hold_quotes() -> None:
    """It is in a JSON string, and in the shell's quotes."""
    made = drafted("vllm", '/m/a "b" \\c')
    assert '"model":"/m/a \\"b\\" \\\\c"' in values_of(words(made), "--speculative-config")[0]


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_every_format_holds_it(engine: str, output_format: str, tmp_path: Path) -> None:
    folder = write_draft(tmp_path / "draft")
    model = read_model("nvidia/Kimi-K2.5-NVFP4")
    draft = read_draft(str(folder), model)
    nodes = nodes_at(["1"])
    request = Request(engine=engine, model=model, draft=draft, cluster=Cluster(nodes))
    try:
        made = plan_launch(for_format(request, output_format))
    except RefusedError as error:
        assert error.code == "format-not-offered"  # noqa: PT017 - as without a draft
        return
    texts = "".join(each.text for each in render_plan(made, output_format).values())
    assert str(folder) in texts
    mounted = [str(mount.source) for mount in made.mounts]
    if output_format == "compose" and engine == "trtllm":
        assert str(folder) in mounted
        assert "/models/draft" in texts


def test_a_placeholder_cannot_stand_in_a_settings_file_of_slurm() -> None:
    model = read_model(VISION)
    request = Request(engine="trtllm", model=model, draft=read_draft("$DRAFT", model))
    with pytest.raises(RefusedError) as caught:
        plan_launch(for_format(request, "slurm"))
    assert caught.value.code == "placeholder-in-file"


def test_the_folder_must_be_on_each_node(tmp_path: Path) -> None:
    folder = write_draft(tmp_path / "draft")
    made = drafted("vllm", str(folder))
    model = read_model(VISION)
    found = preflight_plan(made, model, node_rank="0").findings
    assert "model-missing" not in [each.code for each in found]
    gone = drafted("vllm", str(tmp_path / "gone"))
    found = preflight_plan(gone, model, node_rank="0").findings
    assert "The draft" in next(each.message for each in found if each.code == "model-missing")


def test_an_unread_draft_leaves_the_fit_as_it_is(tmp_path: Path) -> None:
    folder = write_draft(tmp_path / "draft", {"architectures": ["LlamaForCausalLMEagle3"]})
    made = drafted("vllm", str(folder), gpu="h200")
    model = read_model(VISION)
    sizes = model_sizes(model.config, model.loaded_bytes)
    assert isinstance(sizes, ModelSizes)
    assert fits_of(made, sizes)[""].draft is None
    assert as_document(made)["draft"] == {"kind": "eagle3", "name": str(folder)}
