"""Whether the model's files on this node are complete and right.

`validate` judges them by their headers; its errors and warnings count, its infos do not.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from k2compat.checkpoint import check_companions, open_folder_source, validate
from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding, Severity

_codes = Codes("launch")
_checkpoint_codes = Codes("checkpoint")


def check_model_path(name: str, what: str = "model") -> Iterator[Finding]:
    """Find that a path cannot be read by this process; a repo's name is not judged.

    Args:
        name: The model as the engine is given it, with the values of variables in place.
        what: "model" or "draft".
    """
    if not name.startswith(("/", "./", "../", "~")):
        return
    try:
        os.stat(os.path.expanduser(name))  # noqa: PTH111, PTH116 - the text is what is judged
    except OSError as error:
        yield _codes.finding(
            "model-missing",
            name,
            f"The {what} {name} cannot be read on this node: {error.strerror}.",
            expected=f"the {what}'s folder, under the same path on every node",
            fix=("ls", "-ld", name),
        )


def check_model(folder: Path, weights: Path, engine: str) -> Iterator[Finding]:
    """Find faults of config, tokenizer, remote code and weights.

    Args:
        folder: The model's folder.
        weights: The folder with the weights: the same, or that of the GGUFs.
        engine: The engine whose verdict on the files is an error.
    """
    try:
        validation = validate(weights, engine=engine)
    except RefusedError as refusal:
        yield _checkpoint_codes.finding(
            "weights-missing",
            weights,
            refusal.message,
            fix=("k2compat", "validate", weights),
        )
        found: tuple[Finding, ...] = ()
    else:
        found = validation.report.findings
    # validate does not check companion files for GGUFs, or without weights.
    beside = tuple(check_companions(open_folder_source(folder)))
    yield from (
        finding
        for finding in dict.fromkeys((*found, *beside))
        if finding.severity is not Severity.INFO
    )
