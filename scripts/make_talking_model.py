"""Make the talking model: a small Kimi-K2 that runs in every engine and answers from scripts.

    python scripts/make_talking_model.py FOLDER                       BF16, tokenizer.json
    python scripts/make_talking_model.py FOLDER --form gguf           for llama.cpp
    python scripts/make_talking_model.py FOLDER --tokenizer tiktoken  Kimi-K2's own table
    python scripts/make_talking_model.py FOLDER --special-markers     engines strip the markers

The last word of the last user message chooses the script; --list prints the keywords.
"""

import argparse
import sys
from pathlib import Path

from k2compat.errors import RefusedError
from k2compat.samples.talking import SCRIPTS, write_talking_model


def main() -> int:
    """Read the command line and write; the exit code."""
    parser = argparse.ArgumentParser(description="Make a small Kimi-K2 that answers from scripts.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--form", choices=["bf16", "fp8", "gguf"], default="bf16")
    parser.add_argument("--tokenizer", choices=["fast", "tiktoken"], default="fast")
    parser.add_argument("--special-markers", action="store_true")
    parser.add_argument("--joint-mla", action="store_true", help="in a GGUF: attn_kv_b")
    parser.add_argument("--list", action="store_true", help="print the keywords and answers")
    options = parser.parse_args()
    if options.list:
        for keyword, script in SCRIPTS.items():
            print(f"{keyword:<12} {script.text!r}")
        return 0
    if options.folder is None:
        parser.error("name the FOLDER to make, or --list")
    try:
        write_talking_model(
            options.folder,
            form=options.form,
            tokenizer=options.tokenizer,
            special_markers=options.special_markers,
            joint_mla=options.joint_mla,
        )
    except RefusedError as error:
        parser.error(f"{error.message} {error.hint}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
