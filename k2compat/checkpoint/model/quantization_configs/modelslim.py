"""ModelSlim's quant_model_description.json: the name of each tensor, and its type."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from k2compat.checkpoint.model.module_patterns import UnknownSettingError, compiled
from k2compat.checkpoint.model.quantization import (
    Group,
    Quantization,
    Storage,
    labelled,
    storage,
    whole_number,
)

_WEIGHT: Final = ".weight"
_PLAIN: Final = "FLOAT"
_SCHEMES: Final[Mapping[str, str]] = {
    "W8A8": "modelslim-w8a8",
    "W8A8_DYNAMIC": "modelslim-w8a8-dynamic",
    "W4A8_DYNAMIC": "modelslim-w4a8-dynamic",
}


def read_modelslim(config: Mapping[str, Any]) -> Quantization:
    """A group for each type; modules that are not named stay as they are.

    Raises:
        UnknownSettingError: See `Dialect`.
    """
    modules: defaultdict[str, list[str]] = defaultdict(list)
    for name, kind in config.items():
        if name.endswith(_WEIGHT) and isinstance(kind, str) and kind != _PLAIN:
            modules[kind].append(name.removesuffix(_WEIGHT))
    if not modules or not modules.keys() <= _SCHEMES.keys():
        raise UnknownSettingError("the types of the tensors")
    size = whole_number(config.get("group_size")) or 256
    groups = tuple(Group(_stored(kind, size), compiled(names)) for kind, names in modules.items())
    return Quantization(labelled(groups), groups)


def _stored(kind: str, size: int) -> Storage:
    sizes = {"group": size} if kind == "W4A8_DYNAMIC" else {}
    return storage(_SCHEMES[kind], sizes)
