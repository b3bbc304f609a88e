"""Settings for a goal, from the engines' own documents: `ENGINE/goals.toml`.

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

A goal without an entry that applies is refused: only measured settings are proposed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Final

import msgspec
from packaging.version import Version

from k2compat.launch.engines import engine_folder
from k2compat.launch.engines.version_range import in_range
from k2compat.launch.request import FACTS, GPU, is_fact
from k2compat.typed_toml import read_toml


class Goal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The documented settings for a goal on one kind of model and hardware.

    Attributes:
        goal: "latency", "throughput" or "context".
        strategy: One of STRATEGIES.
        figure: The published figure; "" where the document gives none.
        source: The document.
        gpus: The documented number of GPUs of the whole plan; 0: any number.
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
        """The documented conditions, in words."""
        return describe([self])


_PRECISIONS: Final = ("int4", "fp8", "nvfp4", "mxfp4", "bf16")
_OPTIONS: Final = {"amx": "--amx"}
_OF_MODEL: Final = frozenset({"reasoning", "vision", *_PRECISIONS})


def describe(goals: Iterable[Goal]) -> str:
    """The documented conditions of goals, in words; those that differ only in GPUs are one."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for goal in goals:
        gpu = next((each.removeprefix(GPU) for each in goal.when if each.startswith(GPU)), "GPU")
        kind = (goal.goal, _model(goal.when), gpu.upper(), *_conditions(goal))
        alike.setdefault(kind, []).append(goal.gpus)
    found = []
    for (what, model, gpu, *conditions), numbers in alike.items():
        listed = list(map(str, sorted({*numbers} - {0})))
        counts = " or ".join([*([", ".join(listed[:-1])] if listed[1:] else []), *listed[-1:]])
        place = f"{counts} × {gpu}" if counts else gpu
        found.append(", ".join([f"{what} for {model} on {place}", *conditions]))
    return "; ".join(found)


def _model(when: Sequence[str]) -> str:
    """The models of the family of which these facts hold."""
    weights = next((each for each in when if each in _PRECISIONS), "")
    if "vision" in when:
        name = "Kimi-K2.5 and later"
    elif "!vision" not in when:
        name = "the thinking models" if "reasoning" in when else "any model"
    else:
        thinks = "reasoning" in when or weights not in ("", "fp8", "bf16")
        name = "Kimi-K2-Thinking" if thinks else "Kimi-K2"
    return f"{name} in {weights.upper()}" if weights else name


def _conditions(goal: Goal) -> Iterator[str]:
    """The versions, and the facts besides model and GPU, in the words of the register."""
    for limit in filter(None, goal.versions.split(",")):
        yield f"from {limit[2:]} on" if limit.startswith(">=") else f"before {limit[1:]}"
    for fact in goal.when:
        name = fact.removeprefix("!")
        if name in _OPTIONS:
            yield f"{'without' if fact != name else 'with'} {_OPTIONS[name]}"
        elif name not in _OF_MODEL and not name.startswith(GPU):
            yield f"{'unless' if fact != name else 'where'} {FACTS.get(name, name)}"


def _holds(condition: str, facts: AbstractSet[str]) -> bool:
    return (condition.removeprefix("!") in facts) != condition.startswith("!")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The form of a goals.toml."""

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
