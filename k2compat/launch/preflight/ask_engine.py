"""Ask an installed engine's own parser. Run as a file, by the interpreter that has the engine.

It imports only the standard library, and works on the oldest Python that an engine runs in. The
question is read from stdin, the answer is written to stdout, both as JSON:

    file, entry, module, distributions, arguments  →  version, state, words

`state` is "absent", "unreadable" (the parser cannot be imported), "refused" or "taken".
"""

import contextlib
import importlib.metadata
import importlib.util
import io
import json
import os
import runpy
import sys
from collections.abc import Mapping
from typing import Any


def main() -> None:
    """Answer one question, and end without the engine's exit handlers."""
    # An engine must not be imported from this file's folder or the current one.
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    sys.path[:] = [folder for folder in sys.path if folder and folder != here]
    # The output of the engine's import must not mix with the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    json.dump(ask(json.load(sys.stdin)), answer)
    answer.close()
    os._exit(0)


def ask(question: Mapping[str, Any]) -> Mapping[str, Any]:
    """The installed version, and the parser's verdict on the arguments."""
    version = _version(question["distributions"])
    if importlib.util.find_spec(question["module"]) is None:
        return {"version": version, "state": "absent", "words": ""}
    try:
        parse = runpy.run_path(question["file"])["PARSERS"][question["entry"]]()
    except BaseException as error:  # noqa: BLE001 - an engine may raise anything
        words = f"{type(error).__name__}: {error}"
        return {"version": version, "state": "unreadable", "words": words}
    state, words = _parse(parse, question["arguments"])
    return {"version": version, "state": state, "words": words}


def _version(distributions: Any) -> Any:
    for name in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return None


def _parse(parse: Any, arguments: Any) -> Any:
    words = io.StringIO()
    try:
        with contextlib.redirect_stderr(words):
            parse(arguments)
    except SystemExit as end:
        return ("refused", words.getvalue()) if end.code else ("taken", "")
    except BaseException as error:  # noqa: BLE001 - click raises its own, engines anything
        explained = getattr(error, "format_message", None)
        return "refused", explained() if explained else str(error)
    return "taken", ""


if __name__ == "__main__":
    main()
