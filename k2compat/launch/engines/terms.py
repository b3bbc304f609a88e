"""A profile's terms for a request: the situation, and values that depend only on it. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from k2compat.launch.engines.derivation import derivation_of
from k2compat.launch.engines.profile import Profile
from k2compat.launch.engines.profile_entries import FindingTemplate, Forbidden, Situation
from k2compat.launch.engines.profile_entries import PrerequisiteTemplate as Prerequisite
from k2compat.launch.request import role_of

_EXECUTORS: Final = frozenset({"executor=mp", "executor=ray"})


class ProfileTerms(msgspec.Struct, frozen=True):
    """A profile's terms for a request, which are the same on every node.

    Attributes:
        situation: The situation, with the facts of every node.
        options: The user's options that are conditions, and without which other entries of the
            profile would apply: "amx", "executor".
        divisions: Group of nodes → how its GPUs are divided; see `layout.layouts_of`.
        values: Name → template.
        products: Name → factors: numbers, or names of a node's values.
        findings: Those that apply.
        prerequisites: Those that apply.
        forbidden: The combinations of flags that apply.
    """

    situation: Situation
    options: frozenset[str]
    divisions: Mapping[str, Mapping[str, str]]
    values: Mapping[str, str]
    products: Mapping[str, Sequence[str]]
    findings: tuple[FindingTemplate, ...]
    prerequisites: tuple[Prerequisite, ...]
    forbidden: tuple[Forbidden, ...]


def terms_of(profile: Profile, situation: Situation, groups: Iterable[str]) -> ProfileTerms:
    """A profile's terms for a request.

    Args:
        profile: The engine's profile.
        situation: The user's choices, with the facts of the request.
        groups: The groups of nodes.
    """
    situation = situation.with_facts(*profile.features_at(situation.version))
    options = frozenset(_decisive_options(profile, situation))
    situation = situation.with_facts(*derivation_of(profile.engine).facts(situation))
    name, strategy = situation.profile, situation.strategy
    return ProfileTerms(
        situation,
        options,
        divisions={group: profile.division(name, strategy, role_of(group)) for group in groups},
        values=profile.values_of(name, strategy),
        products=profile.products.get(name, {}),
        findings=tuple(entry for entry in profile.findings if entry.applies(situation)),
        prerequisites=tuple(entry for entry in profile.prerequisites if entry.applies(situation)),
        forbidden=tuple(entry for entry in profile.forbidden if entry.applies(situation)),
    )


def _decisive_options(profile: Profile, situation: Situation) -> Iterator[str]:
    """The options that have an effect: without them other entries would apply."""
    facts = situation.facts
    if "amx" in facts and _decides(profile, situation, facts - {"amx"}):
        yield "amx"
    executors = facts & _EXECUTORS
    if executors and _decides(profile, situation, (facts - executors) | (_EXECUTORS - executors)):
        yield "executor"


def _decides(profile: Profile, here: Situation, facts: AbstractSet[str]) -> bool:
    derive = derivation_of(profile.engine).facts
    there = msgspec.structs.replace(here, facts=facts)
    if derive(here) != derive(there):
        return True
    return any(entry.applies(here) != entry.applies(there) for entry in profile.rendered)
