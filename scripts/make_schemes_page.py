"""Write docs/schemes.md from the table of schemes; with --check, only compare."""

import sys
from pathlib import Path

from k2compat.checkpoint.model.quantization import SCHEMES, Scheme, StoredTensor

PAGE = Path(__file__).parents[1] / "docs" / "schemes.md"

_HEAD = """# Schemes: how quantised weights are stored

`k2compat validate` knows these ways of storing a module whose weight has `out` rows and `in`
columns. Each tensor of a module is compared with its row: missing, surplus, of another dtype or of
another shape, it is a finding. Divisions round up. Made by `scripts/make_schemes_page.py` from
`k2compat/checkpoint/model/schemes.toml`.

| finding | meaning |
| --- | --- |
| `module-quantised`, `module-not-quantised` | an excluded module is quantised, or vice versa |
| `quantization-scheme` | the modules are stored in another scheme |
| `quantization-bits`, `-group-size`, `-symmetry`, `-settings` | a setting of the scheme differs |
| `quantization-conflict` | config.json and hf_quant_config.json, or the nested config, differ |
| `ignore-prefix` | the config's list of modules has another prefix than the tensors |
| `quantization-unconfirmed` | a detail is not confirmed; each reading was accepted |

"""

_TAIL = """## How to add a scheme

1. Add a `[scheme.NAME]` to `k2compat/checkpoint/model/schemes.toml`: the tensors with shapes as
   formulas over `d0` (rows), `d1` (columns) and sizes such as `group`.
2. Let a dialect in `k2compat/checkpoint/model/quantization_configs/` select it: one function for
   each program that writes configs, found by `quant_method` in `reading.py`.
3. Add a config to `k2compat/samples/quantizations.toml`. The property tests in
   `tests/properties/test_schemes.py` then damage each of its tensors in each way.
4. Run `python scripts/make_schemes_page.py`.

MXFP4 of compressed-tensors has 13 lines in the table, two in the dialect and seven in the samples.
"""

_NAMES = {"d0": "out", "d1": "in", "b0": "rows", "b1": "columns"}


def page() -> str:
    """The page's text."""
    return _HEAD + "\n".join(_section(each) for each in SCHEMES.values()) + "\n" + _TAIL


def _section(scheme: Scheme) -> str:
    lines = [f"## {scheme.title}, {scheme.program}\n", f"Selected by: {scheme.told_by}.\n"]
    if scheme.unsure:
        lines.append(f"Not confirmed: {scheme.unsure}.\n")
    lines += ["| tensor | dtype | shape | |", "| --- | --- | --- | --- |"]
    lines += map(_row, scheme.tensors)
    return "\n".join([*lines, "", f"Source: {scheme.source}.", ""])


def _row(tensor: StoredTensor) -> str:
    shapes = " or ".join(_shape(shape) for shape in (tensor.shape, *tensor.shapes))
    notes = [f"with {' and '.join(sorted(tensor.when))}"] if tensor.when else []
    if tensor.uniform:
        notes.append("all modules of a kind, or none")
    return f"| `{tensor.suffix}` | {', '.join(tensor.dtypes)} | {shapes} | {'; '.join(notes)} |"


def _shape(shape: tuple[str, ...]) -> str:
    words = [
        "".join(_NAMES.get(word, f" {word} " if word in "*/" else word) for word in _words(text))
        for text in shape
    ]
    return f"[{', '.join(words)}]"


def _words(text: str) -> list[str]:
    return text.replace("*", " * ").replace("/", " / ").split()


def main() -> int:
    """Write the page, or tell whether it is up to date."""
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
