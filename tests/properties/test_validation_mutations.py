"""Whatever happens to headers, index and config, the outcome is a report."""

import json
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k2compat.checkpoint import validate
from k2compat.checkpoint.safetensors_files.index import INDEX_FILE
from k2compat.samples import tiny_config
from tests.properties.test_gguf_mutations import mutations
from tests.support.amount import examples
from tests.support.memory_source import MemorySource, memory_source

VARIANTS = ("fp8", "int4", "kimi_k25", "deepseek_v3")

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["kimi_k2", "fp8", "model-1-of-2.safetensors", "../up", "re:(a+)+"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@cache
def sound(variant: str) -> MemorySource:
    return memory_source(tiny_config(variant))


def judge(variant: str, name: str, content: bytes) -> None:
    contents = dict(sound(variant).contents)
    grown = contents[name][1] - len(contents[name][0]) + len(content)
    contents[name] = (content, max(grown, 0))
    validation = validate(MemorySource("model", contents))
    for finding in validation.report:
        assert finding.where.startswith("model")
        shown = (finding.message, finding.where, finding.expected, finding.actual, *finding.items)
        assert all(str(text).isprintable() for text in shown), finding
    json.dumps([finding.as_dict() for finding in validation.report])


@given(st.sampled_from(VARIANTS), st.data())
@settings(max_examples=examples(60))
def test_a_mutated_header_ends_in_a_report(variant: str, data: st.DataObject) -> None:
    shards = [name for name in sound(variant).contents if name.endswith(".safetensors")]
    name = data.draw(st.sampled_from(shards))
    judge(variant, name, data.draw(mutations(sound(variant).contents[name][0])))


@given(st.sampled_from(VARIANTS), st.data())
@settings(max_examples=examples(60))
def test_a_mutated_index_ends_in_a_report(variant: str, data: st.DataObject) -> None:
    judge(variant, INDEX_FILE, data.draw(mutations(sound(variant).contents[INDEX_FILE][0])))


@given(st.sampled_from(VARIANTS), st.data())
@settings(max_examples=examples(60))
def test_a_mutated_config_ends_in_a_report(variant: str, data: st.DataObject) -> None:
    judge(variant, "config.json", data.draw(mutations(sound(variant).contents["config.json"][0])))


@given(st.sampled_from(VARIANTS), st.data())
@settings(max_examples=examples(150))
def test_any_value_of_a_member_ends_in_a_report(variant: str, data: st.DataObject) -> None:
    config: dict[str, Any] = json.loads(json.dumps(tiny_config(variant)))
    inner = [config, *(value for value in config.values() if isinstance(value, dict))]
    members = data.draw(st.sampled_from(inner))
    members[data.draw(st.sampled_from(sorted(members)))] = data.draw(json_values)
    judge(variant, "config.json", json.dumps(config).encode("utf-8", "backslashreplace"))


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4) | json_values)
@settings(max_examples=examples(60))
def test_any_index_ends_in_a_report(index: object) -> None:
    whole = {"weight_map": index}
    judge("fp8", INDEX_FILE, json.dumps(whole).encode("utf-8", "backslashreplace"))
