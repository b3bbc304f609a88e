"""The files that a model needs besides its weights."""

from typing import TYPE_CHECKING

from k2compat.lazy import lazy_names

if TYPE_CHECKING:
    from k2compat.checkpoint.companions.companions import (
        check_behaviour,
        check_beside,
        check_companions,
        read_members,
        remote_code,
    )
    from k2compat.checkpoint.companions.config_file import (
        ReadConfig,
        described_quantization,
        parse_config,
        read_config,
        with_quantization_files,
    )
    from k2compat.checkpoint.companions.special_tokens import (
        FAMILY_IDS,
        REQUIRED,
        VOCABULARY,
        template_faults,
    )

__all__ = [
    "FAMILY_IDS",
    "REQUIRED",
    "VOCABULARY",
    "ReadConfig",
    "check_behaviour",
    "check_beside",
    "check_companions",
    "described_quantization",
    "parse_config",
    "read_config",
    "read_members",
    "remote_code",
    "template_faults",
    "with_quantization_files",
]

_HOMES = {
    "FAMILY_IDS": "special_tokens",
    "REQUIRED": "special_tokens",
    "VOCABULARY": "special_tokens",
    "ReadConfig": "config_file",
    "check_behaviour": "companions",
    "check_beside": "companions",
    "check_companions": "companions",
    "described_quantization": "config_file",
    "parse_config": "config_file",
    "read_config": "config_file",
    "read_members": "companions",
    "remote_code": "companions",
    "template_faults": "special_tokens",
    "with_quantization_files": "config_file",
}

__getattr__ = lazy_names(__name__, _HOMES)
