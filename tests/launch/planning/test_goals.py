"""--goal: documented settings, as `--set` takes them; nothing where no document gives any."""

from typing import Any

import pytest

from k2compat.errors import RefusedError
from k2compat.findings import Severity
from k2compat.launch.engines.goals import Goal, describe, goals_of
from k2compat.launch.flags import ENGINES
from k2compat.launch.memory.sizes import ModelSizes, model_sizes
from k2compat.launch.plan import Plan
from k2compat.launch.planning import goals
from k2compat.launch.planning.checks import check_plan, fits_of
from k2compat.launch.request.model import read_model
from tests.launch.support import argv, codes, environment, plan

TWO = ("10.0.0.1", "10.0.0.2")
# A model for the facts of a goal.
MODELS = {
    frozenset({"int4"}): "Kimi-K2-Thinking",
    frozenset({"int4", "vision"}): "Kimi-K2.5",
    frozenset({"fp8"}): "Kimi-K2-Instruct",
    frozenset({"nvfp4"}): "nvidia/Kimi-K2-Thinking-NVFP4",
    frozenset({"nvfp4", "vision"}): "nvidia/Kimi-K2.6-NVFP4",
    frozenset({"mxfp4"}): "amd/Kimi-K2-Thinking-MXFP4",
    frozenset(): "Kimi-K2-Instruct",
}
GOALS = [(engine, goal) for engine in ENGINES for goal in goals_of(engine)]


def asked(engine: str, goal: Goal, **options: Any) -> Plan:
    """The plan of a goal on what it is documented for."""
    model = MODELS[frozenset(goal.when) & {"int4", "fp8", "nvfp4", "mxfp4", "vision"}]
    gpu = next(each.removeprefix("gpu=") for each in goal.when if each.startswith("gpu="))
    nodes = TWO if goal.gpus > 8 else TWO[:1]
    return plan(
        engine,
        options.pop("model", model),
        nodes=nodes,
        gpu=gpu,
        gpus_per_node=goal.gpus // len(nodes),
        goal=goal.goal,
        facts=frozenset({"amx"} & set(goal.when)),
        **options,
    )


@pytest.mark.parametrize(("engine", "goal"), GOALS, ids=str)
def test_every_documented_goal_is_rendered_as_its_parser_takes_it(engine: str, goal: Goal) -> None:
    made = asked(engine, goal)
    assert "goal-chosen" in codes(made)
    assert made.strategy == goal.strategy
    errors = [each.message for each in made.findings if each.severity is Severity.ERROR]
    assert errors == []
    model = read_model(str(made.model)) if engine != "trtllm" else None
    if model is not None:
        judged = list(check_plan(made, model.config, model.loaded_bytes))
        assert not [each for each in judged if each.severity is Severity.ERROR]
    server = made.server("")
    assert server is not None
    words = " ".join(argv(server))
    for setting in goal.settings:
        assert setting.partition("=")[2] in words
    assert environment(server).items() >= goal.environment.items()
    assert goal.source in next(each.message for each in made.findings if each.code == "goal-chosen")


def test_the_published_tokens_of_decode_context_parallelism() -> None:
    """vLLM's log of Kimi-K2-Thinking on 8 × H200: 715,072 tokens, with DCP8 5,721,088."""
    model = read_model("moonshotai/Kimi-K2-Thinking")
    sizes = model_sizes(model.config, model.loaded_bytes)
    assert isinstance(sizes, ModelSizes)
    for settings, tokens in (((), 715_072), (("dcp=8",), 5_721_088)):
        share = ("gpu-memory-utilization=0.9", *settings)
        made = plan("vllm", "moonshotai/Kimi-K2-Thinking", gpu="h200", settings=share)
        assert fits_of(made, sizes)[""].tokens == pytest.approx(tokens, rel=0.001)


def test_decode_context_parallelism_is_proposed_where_a_plan_does_not_fit() -> None:
    model = read_model("moonshotai/Kimi-K2-Thinking")
    for engine, version, proposed in (
        ("vllm", None, "TP8·DCP8 (--set decode-context-parallel-size=8)"),
        ("sglang", None, "TP8·DCP4 (--set dcp-size=4)"),
        ("vllm", "0.10.0", None),
        ("trtllm", None, None),
    ):
        made = plan(engine, "Kimi-K2-Thinking", gpu="h20", engine_version=version)
        (found,) = (
            each
            for each in check_plan(made, model.config)
            if each.code in ("does-not-fit", "fit-tight")
        )
        assert ("DCP" in str(found.fix)) is (proposed is not None), engine
        assert proposed is None or proposed in str(found.fix)
    cut = plan(
        "vllm", "Kimi-K2-Thinking", gpu="h20", settings=("dcp=2",), values={"context": "900k"}
    )
    assert cut.layouts[""].decode_context_parallel == 2


def test_a_setting_of_the_user_goes_before_the_goal_s() -> None:
    (goal,) = (each for each in goals_of("vllm") if "gpu=b300" in each.when)
    made = asked("vllm", goal, settings=("block_size=32",))
    words = argv(made.commands[0])
    assert words[words.index("--block-size") + 1] == "32"
    assert words.count("--block-size") == 1
    assert "TOKENSPEED_MLA" in words


@pytest.mark.parametrize(
    ("engine", "options", "code", "hint"),
    [
        (
            "vllm",
            {},
            "goal-not-documented",
            "throughput for Kimi-K2-Thinking in INT4 on 8 × H200, from 0.11.1 on",
        ),
        ("vllm", {"gpu": "b200"}, "goal-not-documented", "on 8 × H200"),
        (
            "ktransformers",
            {"gpu": "h200"},
            "goal-not-documented",
            "with --amx",
        ),
        ("vllm", {"profile": "guide"}, "goal-not-documented", "--profile guide"),
        (
            "vllm",
            {"model": "Kimi-K2-Thinking", "gpu": "h200", "strategy": "dp-ep"},
            "strategy-not-offered",
            "Leave --strategy out",
        ),
    ],
)
def test_what_no_document_gives_is_refused(
    engine: str, options: dict[str, Any], code: str, hint: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        plan(engine, goal="throughput", **options)
    assert caught.value.code == code
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "any model on GPU"),
        ({"when": ("!vision",), "gpus": 8}, "Kimi-K2 on 8 × GPU"),
        ({"when": ("!vision", "fp8"), "versions": "<0.2"}, "Kimi-K2 in FP8 on GPU, before 0.2"),
        ({"when": ("reasoning",)}, "the thinking models on GPU"),
        ({"when": ("vision", "nvfp4", "gpu=b300")}, "Kimi-K2.5 and later in NVFP4 on B300"),
        (
            {"when": ("int4", "!vision", "!amx", "!amd"), "versions": ">=1,<2"},
            (
                "Kimi-K2-Thinking in INT4 on GPU, from 1 on, before 2, without --amx, "
                "unless the GPU is AMD's"
            ),
        ),
        ({"when": ("amx", "arch=ada")}, "any model on GPU, with --amx, where arch=ada"),
    ],
)
def test_a_goal_in_words(members: dict[str, Any], words: str) -> None:
    """Nothing of them is a fact's or a range's own spelling."""
    assert str(Goal(goal="latency", strategy="tp", source="x", **members)) == f"latency for {words}"


def test_goals_that_differ_in_the_number_of_gpus_are_one() -> None:
    goals = [Goal(goal="latency", strategy="tp", source="x", gpus=each) for each in (8, 1, 4)]
    assert describe(goals) == "latency for any model on 1, 4 or 8 × GPU"
    assert describe(goals[:2]) == "latency for any model on 1 or 8 × GPU"


def test_those_of_the_same_goal_come_first() -> None:
    with pytest.raises(RefusedError) as caught:
        plan("vllm", goal="context", gpu="b200")
    assert str(caught.value.hint).startswith("Documented are: context for ")


def test_an_engine_without_documented_goals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goals, "goals_of", lambda _engine: ())
    with pytest.raises(RefusedError) as caught:
        plan("vllm", goal="throughput")
    assert caught.value.hint == "Leave --goal out: vllm documents none."


def test_a_goal_of_a_fact_that_does_not_exist_is_refused(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from k2compat.launch.engines import goals

    folder = tmp_path_factory.mktemp("engine")
    (folder / "goals.toml").write_text(
        '[[goal]]\ngoal = "latency"\nstrategy = "tp"\nsource = "x"\nwhen = ["gqu=h200", "swift"]\n'
    )
    monkeypatch.setattr(goals, "engine_folder", lambda _: folder)
    goals.goals_of.cache_clear()
    with pytest.raises(ValueError, match="gqu=h200"):
        goals_of("vllm")
    goals.goals_of.cache_clear()
