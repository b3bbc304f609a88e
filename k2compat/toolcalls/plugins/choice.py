"""Under which names the plug-ins register."""

import os
from typing import Final

NAME: Final = "k2compat"
ENGINE_NAME: Final = "kimi_k2"
REPLACE: Final = "K2COMPAT_REPLACE_KIMI_K2"


def replaces_the_engine_s() -> bool:
    """Whether the environment asks to take the place of the engine's own parser."""
    return os.environ.get(REPLACE) == "1"
