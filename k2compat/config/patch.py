"""Plan the switch of a config's model_type between kimi_k2 and deepseek_v3."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k2compat.config.spans import Member, locate
from k2compat.config.text import ConfigText, read_text
from k2compat.errors import RefusedError
from k2compat.family import (
    DEEPSEEK_V3,
    FINGERPRINTS,
    KIMI_K2,
    OTHER_ARCHITECTURES,
    SED_ACCIDENTS,
    SWITCHABLE,
    WRAPPERS,
    fingerprint_of,
)
from k2compat.findings import Codes, Finding
from k2compat.shell_line import shell_line

_KEY = "model_type"
_codes = Codes("config")


@dataclass(frozen=True, slots=True)
class Patch:
    """The bytes to write, and findings on them.

    Attributes:
        at: The member that holds the text model's config; None: the top level.
        source: The present model_type.
        target: The requested model_type.
        old: The file's bytes as read.
        new: The bytes to write; equal to `old` where nothing is to be done.
        findings: Unusual properties of the file.
        costs: The costs of the change; none where nothing changes.
    """

    at: str | None
    source: str
    target: str
    old: bytes
    new: bytes
    findings: tuple[Finding, ...]
    costs: tuple[Finding, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to write."""
        return self.old != self.new


def plan_patch(
    data: bytes,
    *,
    to: str,
    where: str,
    result: str = "",
    at: str | None = None,
    force: bool = False,
) -> Patch:
    """Plan the switch: only the bytes of one model_type's value differ between old and new.

    Args:
        data: The config's bytes.
        to: "kimi_k2" or "deepseek_v3".
        where: The file's name, for messages.
        result: The name of the file that will hold the new bytes, if it is another.
        at: Name of the nested config to change ("text_config" in Kimi-K2.5), None for the top.
        force: Change to kimi_k2 although the config has no known fingerprint. It never turns a
            config with DeepSeek-V3's fingerprint into a Kimi-K2.

    Raises:
        RefusedError: The file is no config of this family, or its model_type is not
            certain; the code says which.
    """
    document = read_text(data, where)
    config = _section(document, at, where)
    member = _only_member(document.text, (at, _KEY) if at else (_KEY,), where)
    source = _model_type(member, at, where)
    if source != to and to == KIMI_K2:
        _check_fingerprint(config, where, force=force)
    place = result or where
    findings = document.byte_order_mark_findings(place, Path(place))
    if source == to:
        return Patch(at, source, to, data, data, findings)
    if to == KIMI_K2:
        findings += _rope_findings(config, at, place)
    new = document.with_replacement(member.start, member.end, json.dumps(to))
    return Patch(at, source, to, data, new, findings, cost_of(to, at, place))


def _refuse_other_architectures(model_type: object, where: str) -> None:
    reason = OTHER_ARCHITECTURES.get(model_type) if isinstance(model_type, str) else None
    if reason:
        raise RefusedError(
            "model-other-architecture",
            f"{where} is a {model_type}: {reason}, so its weights do not fit {DEEPSEEK_V3}.",
            hint="Use an engine release that supports this model; no change of config helps.",
        )


def _refuse_sed_accidents(model_type: object, where: str) -> None:
    original = SED_ACCIDENTS.get(model_type) if isinstance(model_type, str) else None
    if original:
        restore = shell_line("sed", "-i", f's/"{model_type}"/"{original}"/', Path(where))
        raise RefusedError(
            "model-type-replaced",
            f"{where} is a {model_type}, which no model is: a replacement of every {KIMI_K2} by "
            f"{DEEPSEEK_V3} has changed {original}, too.",
            hint=f"Restore the type at the top: {restore}",
        )


def _section(document: ConfigText, at: str | None, where: str) -> Mapping[str, Any]:
    """The members of the config that describes the text model."""
    _refuse_sed_accidents(document.members.get(_KEY), where)
    if at is None:
        return document.members
    _refuse_other_architectures(document.members.get(_KEY), where)
    section = document.members.get(at)
    if not isinstance(section, dict):
        raise RefusedError(
            "config-section-missing",
            f"{where} has no object {at}.",
            hint=f"Leave --at {at} out: it is for Kimi-K2.5 and later, which nest the text model.",
        )
    if len(locate(document.text, (at,))) > 1:
        raise _duplicate(at, where)
    return section


def _only_member(text: str, path: tuple[str, ...], where: str) -> Member:
    members = locate(text, path)
    name = ".".join(path)
    if not members:
        raise RefusedError(
            "model-type-missing",
            f"{where} has no {name}.",
            hint="Name the config.json of a model; other JSON files have no model_type.",
        )
    if len(members) > 1:
        raise _duplicate(name, where)
    return members[0]


def _duplicate(name: str, where: str) -> RefusedError:
    return RefusedError(
        "config-duplicate-key",
        f"{where} holds {name} more than once, and readers differ in which one they take.",
        hint="Delete all but the right one, then run the same command again.",
    )


def _model_type(member: Member, at: str | None, where: str) -> str:
    if not member.token.startswith('"'):
        raise RefusedError(
            "model-type-not-string",
            f"The model_type in {where} is {member.token}, not a string.",
            hint="Fetch the model's config.json again.",
        )
    model_type: str = json.loads(member.token)
    _refuse_other_architectures(model_type, where)
    if model_type in SWITCHABLE:
        return model_type
    nested = WRAPPERS.get(model_type)
    if nested and at is None:
        raise RefusedError(
            "model-type-nested",
            f"{where} is a {model_type}: its text model is described in {nested}, "
            "and the type at the top must stay.",
            hint=f"Add --at {nested} to change the nested model_type.",
        )
    raise RefusedError(
        "model-type-unknown",
        f"The model_type in {where} is {model_type!r}; only {' and '.join(SWITCHABLE)} can be "
        "switched.",
        hint="Name the folder of a Kimi-K2 model.",
    )


def _check_fingerprint(config: Mapping[str, Any], where: str, *, force: bool) -> None:
    found = fingerprint_of(config)
    if found == KIMI_K2:
        return
    values = ", ".join(f"{key} {config.get(key)!r}" for key in FINGERPRINTS[KIMI_K2])
    expected = ", ".join(f"{key} {value}" for key, value in FINGERPRINTS[KIMI_K2].items())
    if found == DEEPSEEK_V3:
        raise RefusedError(
            "fingerprint-deepseek",
            f"{where} is a DeepSeek-V3 ({values}), not a Kimi-K2 under another name.",
            hint="Leave it: deepseek_v3 is this model's own type, and --force does not help.",
        )
    if not force:
        raise RefusedError(
            "fingerprint-missing",
            f"{where} does not look like a Kimi-K2: it has {values}; Kimi-K2 has {expected}.",
            hint="If you know that it is one, run the same command with --force.",
        )


def cost_of(to: str, at: str | None, where: str) -> tuple[Finding, ...]:
    """The costs of a model_type for its model; kimi_k2 has none.

    vLLM is not among the costs: 0.24 and 0.32 with `--tool-call-parser kimi_k2` send native ids
    for a patched checkpoint, too. TensorRT-LLM's choice is read in its source, not run.

    Args:
        to: The model_type.
        at: Name of the nested config with the type, None for the top.
        where: The config file with the type.
    """
    if to != DEEPSEEK_V3:
        return ()
    findings = [
        _codes.finding(
            "patch-tokenizer-remote-code",
            where,
            "The model now loads without remote code, but its tokenizer still needs it: "
            "keep trust_remote_code for the tokenizer.",
        ),
        _codes.finding(
            "patch-tool-call-ids",
            where,
            "TensorRT-LLM chooses the style of tool-call ids by model_type: with deepseek_v3 it "
            "sends random ids instead of functions.NAME:IDX.",
            fix=("k2compat", "patch-config", Path(where), "--to", KIMI_K2)
            + (("--at", at) if at else ()),
        ),
    ]
    if at is None:
        findings.append(_without_edit())
    return tuple(findings)


def _rope_findings(config: Mapping[str, Any], at: str | None, where: str) -> tuple[Finding, ...]:
    """A finding where Transformers 5 has saved rope_parameters in place of rope_scaling."""
    if not config.get("rope_parameters") or config.get("rope_scaling"):
        return ()
    name = f"{at}.rope_parameters" if at else "rope_parameters"
    return (
        _codes.finding(
            "patch-rope-parameters",
            where,
            f"{name} replaces rope_scaling here: Kimi-K2's own code reads "
            "rope_scaling and rope_theta, and takes its defaults where they are missing.",
            fix="Copy rope_scaling and rope_theta from the config.json of the model's repo.",
        ),
    )


def _without_edit() -> Finding:
    override = json.dumps({_KEY: DEEPSEEK_V3})
    return _codes.finding(
        "patch-not-needed",
        "vLLM, SGLang",
        "Both engines take another model_type on the command line, without an edit of the file.",
        fix=f"For vLLM: {shell_line('--hf-overrides', override)}  "
        f"For SGLang: {shell_line('--json-model-override-args', override)}",
    )
