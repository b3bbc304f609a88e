"""Whether the model's files on this node are complete and what they should be.

`validate` judges them by their headers; of what it finds, that counts which is worse than info.
"""

from collections.abc import Iterator
from pathlib import Path

from k2compat.checkpoint import check_companions, open_folder_source, validate
from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding, Severity

_checkpoint_codes = Codes("checkpoint")


def check_model(folder: Path, weights: Path, engine: str) -> Iterator[Finding]:
    """Find what is missing or wrong among config, tokenizer, remote code and weights.

    Args:
        folder: The model's folder.
        weights: The folder with the weights: the same, or that of the GGUFs.
        engine: Its verdict on the files is an error.
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
    # validate does not look at companion files for GGUFs, nor without weights.
    beside = tuple(check_companions(open_folder_source(folder)))
    yield from (
        finding
        for finding in dict.fromkeys((*found, *beside))
        if finding.severity is not Severity.INFO
    )
