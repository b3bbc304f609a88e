"""The flags of a plan: the user's own merged in, all of them held against the engine's table."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from k2compat.errors import RefusedError
from k2compat.findings import Severity
from k2compat.launch.engines.profile import read_profile
from k2compat.launch.flags import ENGINES, newest_version
from k2compat.launch.plan import Plan
from k2compat.launch.request.draft import read_draft
from k2compat.launch.request.model import read_model
from tests.launch.support import argv, codes, plan
from tests.support.amount import sampled

NEWEST = newest_version("vllm")

TWO = ("10.0.0.1", "10.0.0.2")

# Both tables and each boundary at which something else is rendered.
VERSIONS = {
    "vllm": ("0.10.0", "0.11.2", "0.12.0", "0.13.0", "0.18.0", "0.28.0", NEWEST),
    "sglang": (
        *("0.4.9.post2", "0.4.10.post2", "0.5.1", "0.5.2", "0.5.3", "0.5.4", "0.5.5", "0.5.8"),
        *("0.5.14", "0.5.20", "0.5.22", "0.5.23"),
    ),
    "trtllm": ("1.0.0rc2", "2025-autumn", "1.3.0rc29"),
    "ktransformers": ("0.3.2", "archived-2026", "0.4.1", "0.7.2"),
}
MODELS = ("Kimi-K2-Instruct", "Kimi-K2-Thinking", "Kimi-K2.5")


def clusters(strategy: str) -> list[dict[str, Any]]:
    """One node and several."""
    if strategy == "pd":
        return [
            {"prefill": ("10.0.0.1",), "decode": ("10.0.0.2",)},
            {"prefill": TWO, "decode": ("10.0.0.3", "10.0.0.4")},
        ]
    return [{"nodes": TWO[:1]}, {"nodes": TWO}]


def every_rendering() -> Iterator[tuple[str, Plan]]:
    """Every default plan of every engine, with what it is."""
    for engine in ENGINES:
        for strategy in read_profile(engine).clusters["default"]:
            for version, model, cluster in product(VERSIONS[engine], MODELS, clusters(strategy)):
                if engine == "ktransformers" and len(cluster["nodes"]) > 1:
                    continue  # one node only; refused elsewhere
                where = f"{engine} {version} {strategy} {model} {cluster}"
                options = {"strategy": strategy, "engine_version": version, **cluster}
                yield where, plan(engine, model, **options)


# Each generation of GPUs for which something else is rendered, with each format of weights.
HARDWARE = ("h200", "h20", "b300", "gb300", "mi300x", "mi355x", "rtx-pro-6000")
QUANTISED = ("nvidia/Kimi-K2.5-NVFP4", "nvidia/Kimi-K2-Thinking-NVFP4", "amd/Kimi-K2.5-MXFP4")


def every_hardware() -> Iterator[tuple[str, Plan]]:
    """Every engine, strategy and boundary on each hardware, one node."""
    for engine in ENGINES:
        for strategy in read_profile(engine).clusters["default"]:
            cluster = clusters(strategy)[0]
            for version, model, gpu in product(
                VERSIONS[engine][-3:], (*MODELS, *QUANTISED), HARDWARE
            ):
                where = f"{engine} {version} {strategy} {model} {gpu}"
                options = {"strategy": strategy, "engine_version": version, **cluster}
                yield where, plan(engine, model, gpu=gpu, **options)


def test_every_rendering_on_each_hardware_is_what_its_parser_takes() -> None:
    wrong = [
        f"{where}: {finding.message}"
        for where, found in every_hardware()
        for finding in found.findings
        if finding.code.startswith("flag-") and finding.severity is not Severity.INFO
    ]
    assert wrong == []


# GPUs that some engine documents a goal for, and one without; nodes and GPUs of each.
GOAL_GPUS = ("h200", "h800", "b200", "b300", "gb200", "mi355x", "4090-48g", "l20", "h100")
GOAL_SIZES = (((), 8), (TWO, 8), (TWO, 4), ((), 4), ((), 1))
DRAFT = "lightseekorg/kimi-k2.5-eagle3-mla"


def every_goal() -> Iterator[tuple[str, Plan | RefusedError]]:
    """Every engine, boundary, goal, model, hardware and size, with and without a draft."""
    for engine in ENGINES:
        cases = product(
            VERSIONS[engine],
            ("latency", "throughput", "context"),
            (*MODELS, *QUANTISED),
            GOAL_GPUS,
            GOAL_SIZES,
            (None, DRAFT),
        )
        for case in sampled(cases, every=31):
            version, goal, model, gpu, (nodes, gpus), name = case
            draft = name and read_draft(name, read_model(model))
            options: dict[str, Any] = {"goal": goal, "gpu": gpu, "nodes": nodes}
            options |= {"gpus_per_node": gpus, "engine_version": version}
            try:
                found = plan(engine, model, draft=draft, **options)
            except RefusedError as refusal:
                yield f"{engine} {case}", refusal
            else:
                yield f"{engine} {case}", found


def test_every_goal_is_refused_or_what_its_parser_takes() -> None:
    rendered = 0
    for where, found in every_goal():
        if isinstance(found, RefusedError):
            assert found.code in ("goal-not-documented", "draft-not-offered", "cluster-too-large")
            continue
        rendered += 1
        wrong = [
            finding.message
            for finding in found.findings
            if finding.code.startswith("flag-") and finding.severity is not Severity.INFO
        ]
        assert wrong == [], where
    assert rendered >= 8


def test_every_default_rendering_is_what_its_parser_takes() -> None:
    wrong: list[str] = []
    for where, found in every_rendering():
        wrong += [
            f"{where}: {finding.message}"
            for finding in found.findings
            if finding.code.startswith("flag-") and finding.severity is not Severity.INFO
        ]
        wrong += [] if any(command.entry for command in found.commands) else [where]
    assert wrong == []


def test_a_setting_takes_the_place_of_the_plans_own() -> None:
    words = argv(plan("vllm", settings=("tool-call-parser=hermes", "--enforce-eager")).commands[0])
    assert words.count("--tool-call-parser") == 1
    assert words[words.index("--tool-call-parser") + 1] == "hermes"
    assert words[-1] == "--enforce-eager"


def test_a_setting_may_be_a_placeholder_and_begins_with_no_dash_unnoticed() -> None:
    words = argv(plan("vllm", settings=("seed=$SEED", "tensor-parallel-size=16")).commands[0])
    assert words[-2:] == ["--seed", "$SEED"]


def test_a_value_with_a_dash_takes_the_place_of_the_plans_own_too() -> None:
    words = argv(plan("vllm", settings=("tool-call-parser=-x",)).commands[0])
    assert [word for word in words if word.startswith("--tool-call-parser")] == [
        "--tool-call-parser=-x"
    ]


def test_a_value_with_a_dash_is_judged_like_any_other() -> None:
    with pytest.raises(RefusedError) as caught:
        plan("vllm", settings=("chat-template=-x\nport 22",))
    assert caught.value.code == "value-malformed"


def test_a_renamed_setting_is_rendered_under_todays_name() -> None:
    words = argv(plan("vllm", settings=("guided-decoding-backend=xgrammar",)).commands[0])
    assert "--guided-decoding-backend" not in words
    assert "xgrammar" in " ".join(words)


@pytest.mark.parametrize(
    "setting",
    ["tool-cal-parser=kimi_k2", "max-model-len=many", "port", "seed=a\nb", "=x"],
)
def test_a_setting_that_cannot_be_is_refused(setting: str) -> None:
    with pytest.raises(RefusedError) as caught:
        plan("vllm", settings=(setting,))
    assert caught.value.code in ("setting-refused", "value-malformed")
    assert caught.value.hint


def test_flags_that_do_harm_together_are_named() -> None:
    found = plan("vllm", nodes=TWO, settings=("api-server-count=2",))
    assert "flag-combination" in codes(found)


def test_a_start_rank_of_zero_is_named_where_it_means_something_else() -> None:
    settings = ("data-parallel-start-rank=0",)
    for version, expected in (("0.27.0", False), ("0.28.0", True)):
        found = plan("vllm", nodes=TWO, strategy="dp-ep", settings=settings, engine_version=version)
        assert ("flag-meaning-changed" in codes(found)) is expected


@pytest.mark.parametrize(
    ("gpus_per_node", "nodes", "profile", "expected"),
    [
        (16, TWO[:1], "default", False),
        (16, TWO[:1], "guide", False),
        (4, TWO[:1], "guide", False),
        (4, TWO, "guide", True),
        (8, TWO, "guide", True),
        (8, TWO, "default", False),
    ],
)
def test_a_world_is_too_large_where_it_exceeds_the_gpus_of_its_node(
    gpus_per_node: int, nodes: tuple[str, ...], profile: str, expected: bool
) -> None:
    found = plan(
        "vllm",
        nodes=nodes,
        gpus_per_node=gpus_per_node,
        profile=profile,
        strategy="tp",
        engine_version=NEWEST,
    )
    assert ("flag-refused" in codes(found)) is expected
