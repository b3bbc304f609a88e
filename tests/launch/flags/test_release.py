"""The version that is rendered for is a release: a header and an image name what exists."""

import re

import pytest
from msgspec.structs import replace
from packaging.version import Version

from k2compat.errors import RefusedError
from k2compat.launch import (
    FORMATS,
    Request,
    for_format,
    nodes_at,
    plan_launch,
    read_model,
    render_plan,
)
from k2compat.launch.engines import read_profile
from k2compat.launch.flags import ENGINES, EngineRelease, table_versions, version_of
from k2compat.launch.request import Argument, Cluster

# A header's "# vllm 0.33.0, strategy tp", an image's "vllm/vllm-openai:v0.33.0".
NAMED = re.compile(r"^# \w+ (?P<header>\S+), strategy|vllm-openai:v(?P<image>[\w.]+)", re.MULTILINE)


def releases(engine: str) -> set[str]:
    """The releases that an engine's tables describe."""
    return {str(version_of(engine, name)) for name in table_versions(engine)}


def rendered(engine: str, output_format: str, version: str | None, strategy: str) -> str:
    """The files of a plan for two nodes; "" where there are none of this kind."""
    request = Request(
        engine=engine,
        model=read_model("moonshotai/Kimi-K2-Instruct"),
        cluster=Cluster(nodes_at(("10.0.0.1", "10.0.0.2"))),
        strategy=strategy,
        engine_version=version,
    )
    if engine != "vllm":
        request = replace(request, values={"image": Argument.parse("<IMAGE>")})
    try:
        plan = plan_launch(for_format(request, output_format))
    except RefusedError:
        return ""
    return "\n".join(script.text for script in render_plan(plan, output_format).values())


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_version_that_is_rendered_is_a_release_of_a_table(
    engine: str, output_format: str
) -> None:
    for version in (None, *table_versions(engine)):
        for strategy in ("tp", "tp-pp", "dp-ep"):
            text = rendered(engine, output_format, version, strategy)
            found = {each["header"] or each["image"] for each in NAMED.finditer(text)}
            wanted = version_of(engine, version or table_versions(engine)[-1])
            assert found <= {str(wanted)}, text
            assert found or not text or output_format in {"compose", "lws"}


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_table_is_called_becomes_a_release(engine: str) -> None:
    for name in (*table_versions(engine), None):
        release = EngineRelease.of(engine, name)
        assert Version(release.label) == release.version
        assert release.nearest_known is None
    for label in ("v0.18.0", "0.18.0rc1", "0.18.0.post1"):
        assert EngineRelease.of("vllm", label).label == label.removeprefix("v")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_versions_of_a_profile_have_tables(engine: str) -> None:
    assert set(read_profile(engine).versions.values()) <= releases(engine)
