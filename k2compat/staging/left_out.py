"""The files of a model's folder that are not staged, as data: the first matching row decides."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A reason to leave files out.

    Attributes:
        code: The finding's code.
        what: The reason in words.
        patterns: Shell patterns for the last part of the path, in lower case.
    """

    code: str
    what: str
    patterns: tuple[str, ...]


LEFT_OUT: Final = (
    LeftOut("left-out-weights", "weights", ("*.safetensors",)),
    LeftOut(
        "left-out-other-weights",
        "weights in other formats",
        (
            *("*.bin", "*.ckpt", "*.distcp", "*.ggml", "*.gguf", "*.h5", "*.msgpack", "*.npz"),
            *("*.onnx", "*.onnx_data", "*.pt", "*.pth", "*.tflite"),
        ),
    ),
    LeftOut(
        "left-out-unfinished",
        "unfinished downloads",
        ("*.aria2", "*.crdownload", "*.incomplete", "*.part", "*.partial"),
    ),
    LeftOut(
        "left-out-bookkeeping",
        "bookkeeping",
        (".cache", ".ds_store", ".git", ".k2compat-*", "__pycache__"),
    ),
)

EXCLUDED: Final = LeftOut("left-out-excluded", "excluded by you", ())

# Files that are not fetched from the Hub at all.
DOWNLOAD_NOT: Final = tuple(pattern for row in LEFT_OUT[:2] for pattern in row.patterns)


def reason_to_leave_out(relative: str, exclude: tuple[str, ...] = ()) -> LeftOut | None:
    """The reason why a file or folder is not staged; None if it is staged.

    Args:
        relative: Its path within the model's folder.
        exclude: The user's own patterns, for the whole path or its last part.
    """
    name = relative.rsplit("/", 1)[-1]
    if any(fnmatchcase(relative, own) or fnmatchcase(name, own) for own in exclude):
        return EXCLUDED
    lower = name.lower()
    for row in LEFT_OUT:
        if any(fnmatchcase(lower, pattern) for pattern in row.patterns):
            return row
    return None
