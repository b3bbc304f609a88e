"""The parallel sizes in flags: those of `--set`, and those of a command that was read. Pure.

Only this module turns a flag into a size of a plan. The layout is decided from the sizes, the flags
of the commands are rendered from the layout, and reading them again gives the same layout.
"""

from collections.abc import Iterator, Sequence

from k2compat.errors import RefusedError
from k2compat.findings import Codes, Finding
from k2compat.launch.engines import ParallelFlags, Profile, Situation, memory_flags_of
from k2compat.launch.flags import EngineRelease, has_word, settings_as_arguments, values_of
from k2compat.launch.memory import GivenSizes, Layout
from k2compat.launch.plan import Command, Plan
from k2compat.launch.request import Cluster

_codes = Codes("launch")


def given_sizes(
    profile: Profile, situation: Situation, release: EngineRelease, settings: Sequence[str]
) -> GivenSizes:
    """The sizes that a user's `--set` options give, under any of their names.

    Args:
        profile: The engine's.
        situation: Decides which command takes the settings.
        release: The engine at a version.
        settings: Each "flag=value" or "flag".

    Raises:
        RefusedError: setting-refused, for a flag that the engine lacks and for a size that is a
            placeholder: such a plan could not be judged.
    """
    entry = settable_entry(profile, situation)
    if not settings or entry is None or memory_flags_of(profile.engine).parallel is None:
        return GivenSizes()
    words = [
        word
        for arguments in settings_as_arguments(release.table(entry), settings)
        for word in arguments
    ]
    sizes = sizes_in(profile.engine, words)
    if sizes is None:
        raise RefusedError(
            "setting-refused",
            f"A parallel size of {release} that is not known yet leaves nothing to plan.",
            hint="Give the number; addresses, ports and names may be placeholders.",
        )
    return sizes


def settable_entry(profile: Profile, situation: Situation) -> str | None:
    """The entry point of the commands that get the user's flags; None where none does."""
    commands = (each for each in profile.commands if each.settable and each.applies(situation))
    return next((command.entry for command in commands), None)


def demand_nodes(engine: str, settings: Sequence[str], cluster: Cluster) -> None:
    """Refuse a number of nodes in `--set` that is not the plan's.

    Raises:
        RefusedError: setting-refused.
    """
    parallel = memory_flags_of(engine).parallel
    names = {flag.lstrip("-") for flag in parallel.nodes} if parallel else set()
    for setting in settings:
        name, _, value = setting.partition("=")
        if name.lstrip("-") in names and value not in map(str, cluster.sizes.values()):
            raise RefusedError(
                "setting-refused",
                f"--set {setting} is not the number of nodes of the plan.",
                hint=f"Name the nodes: --nodes {value or 'N'}",
            )


def check_rendered(plan: Plan) -> Iterator[Finding]:
    """Find a given size that other flags of the command override.

    With DeepEP, SGLang spreads the experts over all ranks and ignores --ep-size.
    """
    for group, layout in plan.layouts.items():
        server = plan.server(group)
        read = None if server is None else layout_in(plan.engine, _with_files(plan, server))
        if read is not None and read != layout:
            yield _codes.finding(
                "size-overridden",
                str(layout),
                f"The sizes ask for {layout}; with its other flags the engine divides as {read}.",
                expected=str(layout),
                actual=str(read),
                fix="Leave the size out, or set the flag that overrides it, too.",
            )


def _with_files(plan: Plan, server: Command) -> Sequence[str]:
    """A server's words, and the switches that the settings files of its plan turn on."""
    texts = (text for command in plan.commands for text in command.files.values())
    lines = (line for text in texts for line in text.splitlines())
    switched = (line.removesuffix(": true") for line in lines if line.endswith(": true"))
    return [*map(str, server.argv), *(f"--{name}" for name in switched)]


def layout_in(engine: str, words: Sequence[str]) -> Layout | None:
    """The layout that the flags of a whole command give; None where a size is not a number.

    It is also None for an engine without such flags.
    """
    sizes = sizes_in(engine, words)
    return None if sizes is None else sizes.layout()


def sizes_in(engine: str, words: Sequence[str]) -> GivenSizes | None:
    """The sizes that flags give; None where one of them is no number above 0."""
    parallel = memory_flags_of(engine).parallel
    if parallel is None:
        return None
    try:
        return _sizes(parallel, words)
    except ValueError:
        return None


def _sizes(parallel: ParallelFlags, words: Sequence[str]) -> GivenSizes:
    data, replicas = _size(words, parallel.data), _size(words, parallel.replicas)
    switched = bool(parallel.data_switch) and has_word(words, parallel.data_switch)
    if switched and parallel.replicas and data is None:
        data, replicas = replicas, None
    redundant = _last(words, parallel.redundant)
    return GivenSizes(
        tensor=_size(words, parallel.tensor),
        counts_data=parallel.tensor_counts_data,
        pipeline=_size(words, parallel.pipeline),
        data=data,
        data_everywhere=switched and not parallel.replicas,
        replicas=replicas,
        expert=_size(words, parallel.expert),
        expert_everywhere=any(has_word(words, word) for word in parallel.expert_switches),
        redundant=None if redundant is None else int(redundant),
        decode_context=_size(words, parallel.decode_context),
    )


def _size(words: Sequence[str], flags: Sequence[str]) -> int | None:
    text = _last(words, flags)
    if text is None:
        return None
    if not text.isdecimal() or not int(text):
        raise ValueError(text)
    return int(text)


def _last(words: Sequence[str], flags: Sequence[str]) -> str | None:
    return next(reversed(values_of(words, *flags)), None)
