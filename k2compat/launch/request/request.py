"""The request of a user, before any decision."""

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
        settings: The user's own flags of the engine, each "flag=value" or "flag".
        goal: The goal of the settings: "latency", "throughput" or "context"; None: no goal.
        proposed: Settings of the goal; those of the user override them.
        environment: Variables of the goal, for the engine's processes.
        draft: The draft that proposes tokens for the model to verify; None: no draft.
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
