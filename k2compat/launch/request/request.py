"""What a person asks for, before anything is decided."""

from collections.abc import Mapping

import msgspec

from k2compat.launch.request.arguments import Argument
from k2compat.launch.request.cluster import Cluster
from k2compat.launch.request.draft import Draft
from k2compat.launch.request.model import LaunchModel


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides a plan.

    Attributes:
        engine: One of `engines.engine_names()`.
        model: The model.
        cluster: The nodes; None where none were named.
        engine_version: As the user gave it; None means the newest table, or the guide's own
            version with profile "guide".
        profile: "default" or "guide".
        strategy: One of `profile.STRATEGIES`; None means the first that suits the GPUs.
        values: Values for templates that the user gave, by name: "port", "image", …
        facts: Conditions that the user asked for: "amx", "ray".
        filled: Placeholders that the format fills in itself: an address that a job sets.
        settings: Flags to be passed through, each "flag=value" or "flag".
        goal: What the settings are for: "latency", "throughput" or "context"; None: nothing.
        proposed: Settings that the goal brings; those of the user go before them.
        environment: Variables that the goal brings, for the engine's processes.
        draft: What drafts tokens for the model to verify; None: the model writes each itself.
    """

    engine: str
    model: LaunchModel
    cluster: Cluster | None = None
    engine_version: str | None = None
    profile: str = "default"
    strategy: str | None = None
    values: Mapping[str, Argument] = msgspec.field(default_factory=dict)
    facts: frozenset[str] = frozenset()
    filled: frozenset[str] = frozenset()
    settings: tuple[str, ...] = ()
    goal: str | None = None
    proposed: tuple[str, ...] = ()
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    draft: Draft | None = None
