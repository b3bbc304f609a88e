"""JSON as people and tools really write it: odd white space, escapes, numbers, repeated keys."""

import json
from dataclasses import dataclass

from hypothesis import strategies as st

NUMBERS = ["0", "-0.0", "1e-06", "1E5", "1.50", "2.827", "-1", "10000000000000000000000", "1e400"]
LITERALS = ["true", "false", "null", "NaN", "-Infinity"]
DECOYS = [
    '[{"model_type": "kimi_k2"}]',
    '["model_type", "kimi_k2"]',
    r'"\"model_type\": \"kimi_k2\", {[\\"',
    '{"model_type": "deepseek_v3", "model_type": "again"}',
    '{"ignore": ["model_type"], "quant_method": "fp8", "nested": {"model_type": "kimi_k2"}}',
]

white_space = st.text(" \t\r\n", max_size=3)


@st.composite
def spelled(draw: st.DrawFn, value: str) -> str:
    """The string `value` in JSON, each character plain or as an escape."""
    parts = []
    for character in value:
        plain = json.dumps(character, ensure_ascii=False)[1:-1]
        # A lone surrogate has no bytes of its own: it can only be escaped.
        must_escape = 0xD800 <= ord(character) <= 0xDFFF
        escape = must_escape or draw(st.booleans())
        parts.append(json.dumps(character)[1:-1] if escape and ord(character) > 127 else plain)
        if escape and ord(character) < 128:
            parts[-1] = f"\\u{ord(character):04X}"
    return '"' + "".join(parts) + '"'


strings = st.text(max_size=6).flatmap(spelled)


@st.composite
def arrays(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    """An array of already written values."""
    written = [f"{draw(white_space)}{draw(items)}{draw(white_space)}" for _ in range(draw(_few))]
    return "[" + (",".join(written) or draw(white_space)) + "]"


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    """An object of already written values, whose keys may be repeated."""
    keys = [draw(st.sampled_from("aab") | st.text(max_size=3)) for _ in range(draw(_few))]
    members = [draw(_member(draw(spelled(key)), draw(values))) for key in keys]
    return "{" + (",".join(members) or draw(white_space)) + "}"


@st.composite
def _member(draw: st.DrawFn, key: str, value: str) -> str:
    space = [draw(white_space) for _ in range(4)]
    return f"{space[0]}{key}{space[1]}:{space[2]}{value}{space[3]}"


_few = st.integers(0, 3)
_leaves = st.sampled_from([*NUMBERS, *LITERALS, *DECOYS]) | strings
values = st.recursive(_leaves, lambda inner: arrays(inner) | objects(inner), max_leaves=12)


@dataclass(frozen=True)
class ConfigFile:
    """A config's bytes around its one true model_type value."""

    before: bytes
    after: bytes

    def holding(self, model_type: str) -> bytes:
        """The whole file with that value."""
        return self.before + json.dumps(model_type).encode() + self.after


@st.composite
def config_files(draw: st.DrawFn, at: str | None = None) -> ConfigFile:
    """Configs of Kimi-K2 with all sorts of neighbours; the text model's at the top or in `at`."""
    before, after = draw(_text_model())
    if at is not None:
        outer = draw(_neighbours(forbidden={at, "model_type"}))
        top = '"model_type": "kimi_k25"'
        before = "{" + ",".join([top, *outer, f'"{at}":{draw(white_space)}{before}'])
        after += "}"
    mark = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    leading, trailing = draw(white_space), draw(white_space)
    return ConfigFile(mark + (leading + before).encode(), (after + trailing).encode())


@st.composite
def _text_model(draw: st.DrawFn) -> tuple[str, str]:
    fingerprint = ['"n_group": 1', '"topk_group":1', '"routed_scaling_factor"\t: 2.827']
    others = [*fingerprint, *draw(_neighbours(forbidden={"model_type"}))]
    members = draw(st.permutations(others))
    key = draw(spelled("model_type"))
    place = draw(st.integers(0, len(members)))
    start = f"{draw(white_space)}{key}{draw(white_space)}:{draw(white_space)}"
    end = ",".join([draw(white_space), *members[place:]]) + "}"
    return "{" + "".join(f"{member}," for member in members[:place]) + start, end


@st.composite
def _neighbours(draw: st.DrawFn, forbidden: set[str]) -> list[str]:
    taken = forbidden | {"n_group", "topk_group", "routed_scaling_factor"}
    names = st.sampled_from(["text_config", "quantization_config", "auto_map"]) | st.text(
        max_size=4
    )
    keys = draw(st.lists(names.filter(lambda key: key not in taken), max_size=4))
    return [draw(_member(draw(spelled(key)), draw(values))) for key in keys]
