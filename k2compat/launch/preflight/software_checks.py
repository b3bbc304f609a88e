"""Checks of the software in the engine's environment: engine, packages, versions. Pure."""

from collections.abc import Iterator, Mapping

from packaging.version import InvalidVersion, Version

from k2compat.findings import Codes, Finding
from k2compat.launch.preflight.inspection import Inspection
from k2compat.launch.preflight.requirements import Distribution, needs_of, package_rows

_codes = Codes("launch")

_NO_BLOBFILE_FROM = Version("0.12")

# These programs start a container, whose packages cannot be listed from here.
_AROUND = ("docker", "podman", "mpirun")


def check_software(inspection: Inspection) -> Iterator[Finding]:
    """Find packages that are missing or too old in the interpreter that runs the engine."""
    if any(command.inside or str(command.argv[0]) in _AROUND for command in inspection.commands):
        return
    packages = inspection.facts.packages
    if packages is None:
        yield from _check_program(inspection)
        return
    yield from _check_engine(inspection, packages)
    yield from _check_packages(inspection, packages)
    yield from _check_tiktoken(packages)


def _check_program(inspection: Inspection) -> Iterator[Finding]:
    programs = [str(command.argv[0]) for command in inspection.commands if command.stays]
    path, found = inspection.facts.program, inspection.facts.python
    if programs and path is not None and found is None:
        yield _codes.finding(
            "engine-unchecked",
            programs[-1],
            f"{path} is no script of a Python: what is installed for it, and in which version, is "
            "not checked.",
        )
    elif programs:
        yield _codes.finding(
            "engine-missing",
            programs[-1],
            f"{programs[-1]} is not on this node's PATH."
            if found is None
            else f"{found} does not tell what is installed in it.",
            expected=programs[-1],
            fix="Activate the environment that the engine is installed in, and run it again.",
        )


def _check_engine(inspection: Inspection, packages: Mapping[str, str]) -> Iterator[Finding]:
    plan = inspection.plan
    for row in needs_of(plan.engine).distributions:
        if not row.is_meant(_version(plan.engine_version)):
            continue
        if any(name in packages for name in row.also):
            continue  # a build of another name has version numbers of its own
        if row.name not in packages:
            yield _codes.finding(
                "engine-missing",
                row.name,
                f"{row.name} is not installed in {inspection.facts.python}.",
                expected=f"{row.name} {plan.engine_version}",
                fix=("pip", "install", f"{row.name}>={row.least}"),
            )
        else:
            yield from _check_version(inspection, row, packages[row.name])


def _check_version(inspection: Inspection, row: Distribution, installed: str) -> Iterator[Finding]:
    planned, version = _version(inspection.plan.engine_version), _version(installed)
    if version is None:
        return
    if version < Version(row.least):
        yield _codes.finding(
            "engine-too-old",
            row.name,
            f"{row.name} {installed} cannot serve the family.",
            expected=f"at least {row.least}",
            actual=installed,
            fix=("pip", "install", f"{row.name}>={row.least}"),
        )
    elif planned is not None and version.release != planned.release:
        yield _codes.finding(
            "engine-version-differs",
            row.name,
            f"{row.name} {installed} is installed; the plan is for {planned}.",
            expected=str(planned),
            actual=installed,
            fix=("--engine-version", installed),
        )


def _check_packages(inspection: Inspection, packages: Mapping[str, str]) -> Iterator[Finding]:
    missing: dict[tuple[str, ...], str] = {}
    for row in package_rows():
        asked = any(row.holds(argv) for argv in inspection.arguments)
        if asked and not any(name in packages for name in row.any_of):
            missing[row.any_of] = row.code
    for names, code in missing.items():
        yield _codes.finding(
            code,
            names[0],
            f"{names[0]} is not installed in {inspection.facts.python}.",
            expected=" or ".join(names),
            fix=("pip", "install", names[0]),
        )


def _check_tiktoken(packages: Mapping[str, str]) -> Iterator[Finding]:
    installed = packages.get("tiktoken")
    version = _version(installed) if installed else None
    if version and version < _NO_BLOBFILE_FROM and "blobfile" not in packages:
        yield _codes.finding(
            "blobfile-missing",
            "tiktoken",
            f"tiktoken {installed} reads the vocabulary through blobfile, which is not installed.",
            expected=f"blobfile, or tiktoken {_NO_BLOBFILE_FROM}",
            actual=f"tiktoken {installed}",
            fix=("pip", "install", "blobfile"),
        )


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:  # a user's own build, whose version cannot be ordered
        return None
