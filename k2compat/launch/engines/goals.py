"""What engines' own documents set for a goal: `ENGINE/goals.toml`.

    [[goal]]
    goal = "throughput"                   # latency, throughput or context
    strategy = "tp"                       # what it divides by; the user's --strategy must agree
    gpus = 8                              # of the whole plan; 0: any number
    when = ["int4", "gpu=h200"]           # facts of the model and the hardware
    versions = ">=0.11"
    settings = ["decode-context-parallel-size=8"]
    environment = { NAME = "1" }
    figure = "what was published of it"
    source = "where"

A goal without an entry that applies is refused: what no one has measured is not proposed.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import cache

import msgspec
from packaging.version import Version

from k2compat.launch.engines import engine_folder
from k2compat.launch.engines.version_range import in_range
from k2compat.launch.request import is_fact
from k2compat.printable import counted
from k2compat.typed_toml import read_toml


class Goal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The documented settings for a goal on one kind of model and hardware.

    Attributes:
        goal: "latency", "throughput" or "context".
        strategy: One of STRATEGIES.
        figure: What was published of it; "" where the document gives no figure.
        source: The document.
        gpus: GPUs of the whole plan that it is documented for; 0: any number.
        when: Facts of the model and the hardware that must hold.
        versions: Of the engine.
        settings: Each "flag=value" or "flag", as `--set` takes them.
        environment: Variables of the engine's processes.
    """

    goal: str
    strategy: str
    source: str
    figure: str = ""
    gpus: int = 0
    when: tuple[str, ...] = ()
    versions: str = ""
    settings: tuple[str, ...] = ()
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)

    def suits(self, version: Version, facts: AbstractSet[str], gpus: int) -> bool:
        """Whether it is documented for a version, a model and hardware."""
        return (
            in_range(self.versions, version)
            and all(_holds(condition, facts) for condition in self.when)
            and self.gpus in (0, gpus)
        )

    def __str__(self) -> str:
        """What it is documented for, for a list of those that there are."""
        number = counted(self.gpus, "GPU") if self.gpus else ""
        conditions = ", ".join([*self.when, *([number] if number else [])])
        version = f", {self.versions}" if self.versions else ""
        return f"{self.goal} ({conditions}{version})"


def _holds(condition: str, facts: AbstractSet[str]) -> bool:
    return (condition.removeprefix("!") in facts) != condition.startswith("!")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """A goals.toml as it is written."""

    goal: tuple[Goal, ...] = ()


@cache
def goals_of(engine: str) -> tuple[Goal, ...]:
    """The documented goals of an engine; none where it has no goals.toml.

    Raises:
        RefusedError: engine-unknown.
        ValueError: The table has a mistake.
    """
    path = engine_folder(engine) / "goals.toml"
    goals = read_toml(path, _File).goal if path.exists() else ()
    for goal in goals:
        for condition in goal.when:
            if not is_fact(condition.removeprefix("!")):
                raise ValueError(f"{path}: there is no fact {condition!r}, for `when` of {goal}")
    return goals
