"""The model of a launch: the config of its folder, or the config assumed for its name."""

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from k2compat.errors import RefusedError
from k2compat.family import (
    CONFIG_FILE,
    DEEPSEEK_V3,
    KIMI_K2,
    MODELOPT_FILE,
    MODELSLIM_FILE,
    OTHER_ARCHITECTURES,
    SED_ACCIDENTS,
    SWITCHABLE,
    WRAPPERS,
    fingerprint_of,
    text_config,
)
from k2compat.findings import Codes, Finding
from k2compat.launch.request.arguments import Argument, user_value
from k2compat.typed_toml import read_toml

_MODELS = Path(__file__).with_name("models.toml")

# "Kimi-K3", "Kimi_Linear-48B": names of the other architectures in `family`.
_OTHER_NAMES = re.compile(r"kimi(?:k3|linear)")
_NOT_IN_NAMES = re.compile(r"[\s_-]+")

_TEMPLATES = ("chat_template.jinja", "tokenizer_config.json")
_TEMPLATE_BYTES_MAX = 4 * 2**20  # tokenizer_config.json of K2.5 has 20 KiB
_THOUGHT = "<think>"

_codes = Codes("launch")


class _AssumedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The assumptions for a name.

    Attributes:
        name: The model.
        pattern: A regular expression for its names.
        quantisation: A key of the table's quantisations.
        config: The members of its config that differ from the family's.
        wrapper: The model_type of the config around it, of a model with vision.
        thinks: Whether it thinks before it answers; None: with a wrapper or INT4 weights it does.
        routed_bytes: The bytes that an engine loads of the routed experts.
        other_bytes: The bytes that it loads of everything else.
    """

    name: str
    pattern: str
    quantisation: str
    config: dict[str, int]
    routed_bytes: int
    other_bytes: int
    wrapper: str | None = None
    thinks: bool | None = None


class _Models(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The form of models.toml. `sizes`: the family's members of a config."""

    other_families: str
    sizes: dict[str, int | str | bool]
    quantisations: dict[str, dict[str, Any]]
    models: tuple[_AssumedModel, ...]


class LaunchModel(msgspec.Struct, frozen=True):
    """A model in the form of an engine's argument.

    Attributes:
        name: The argument: a folder's absolute path, a repo's name, or a placeholder.
        config: The members of its config.json, or those assumed.
        folder: Its folder, if it is on this machine.
        findings: Findings on the model.
        thinks: Whether it thinks before it answers; None: its config decides.
        loaded_bytes: The bytes that an engine loads of its routed experts and of everything else,
            if they are known without reading a config.
    """

    name: Argument
    config: Mapping[str, Any]
    folder: Path | None = None
    findings: tuple[Finding, ...] = ()
    thinks: bool | None = None
    loaded_bytes: tuple[int, int] | None = None

    @property
    def text_config(self) -> Mapping[str, Any]:
        """The config of the text model, nested in that of a model with vision."""
        return text_config(self.config)

    @property
    def experts(self) -> int:
        """Routed experts of one layer; 0 where the config does not give the number."""
        experts = self.text_config.get("n_routed_experts")
        return experts if isinstance(experts, int) and experts > 0 else 0

    @property
    def facts(self) -> frozenset[str]:
        """The facts of a model for profiles.

        "fp8", "int4", "bf16", "nvfp4" or "mxfp4"; "reasoning"; "vision"; "patched" for a Kimi-K2
        with the type deepseek_v3, "deepseek" for a real DeepSeek-V3.
        """
        facts: set[str] = set()
        wrapped = str(self.config.get("model_type")) in WRAPPERS
        precision = self._precision()
        thinks = precision == "int4" if self.thinks is None else self.thinks
        facts |= {"vision"} if wrapped else set()
        facts |= {precision} if precision else set()
        facts |= {"reasoning"} if wrapped or thinks else set()
        if self.config.get("model_type") == DEEPSEEK_V3:
            facts |= {"patched"} if fingerprint_of(self.config) == KIMI_K2 else {"deepseek"}
        return frozenset(facts)

    def _precision(self) -> str | None:
        """The storage of the routed experts, by its name in profiles; None if it is not known."""
        settings = self.text_config.get("quantization_config")
        settings = settings or self.config.get("quantization_config")
        method = settings.get("quant_method") if isinstance(settings, dict) else None
        if settings is None or method == "fp8":
            return "bf16" if settings is None else "fp8"
        from k2compat.checkpoint import stored_precision  # 20 ms, for other schemes alone

        stored = stored_precision(settings)
        return None if stored is None else stored.name


def read_model(text: str) -> LaunchModel:
    """The model that an argument names: a folder with a config, or a name.

    For a name that does not exist here, the model of that name is assumed (`models.toml`): to
    assume Instruct for Kimi-K2-Thinking would double its weights. Any other name means
    Kimi-K2-Instruct.

    Raises:
        RefusedError: model-other-architecture, model-without-config, not-a-folder,
            value-malformed, and what reading a config raises.
    """
    repo_id = repo_id_of(text)
    named = user_value(repo_id or text, "MODEL")
    path = Path(text)
    if repo_id is None and not named.placeholders and os.path.lexists(path):
        return _from_folder(path)
    return _assumed(named)


def facts_of_name(text: str) -> frozenset[str]:
    """The facts of a model by its name or path alone; nothing is read.

    Names of other models, and text that is no name, have no facts.
    """
    try:
        named = user_value(text, "MODEL")
        known = "kimi" in plain_name(text)
        return _assumed(named).facts if known else frozenset()
    except RefusedError:
        return frozenset()


def plain_name(text: str) -> str:
    """A name in the form of the tables: without regard to case, spaces, "-" and "_"."""
    return _NOT_IN_NAMES.sub("", text.lower())


def repo_id_of(text: str) -> str | None:
    """The repo of an address on the Hub; None for any other text."""
    if "://" not in text:
        return None
    from k2compat.hub import parse_hub_url  # 8 ms, for addresses alone

    repo = parse_hub_url(text)
    return repo.repo_id if repo else None


def _from_folder(path: Path) -> LaunchModel:
    members = _with_quantization(path, read_config(path))
    _refuse_other(str(members.get("model_type")), str(path))
    name = user_value(os.path.abspath(path), "MODEL")  # noqa: PTH100
    model = LaunchModel(name, members, path, thinks=_thinks(path))
    return replace(model, findings=tuple(_not_kimi(model)))


def _with_quantization(folder: Path, members: Mapping[str, Any]) -> Mapping[str, Any]:
    """The members, with the quantisation that some exports describe in a separate file."""
    if not any((folder / name).is_file() for name in (MODELOPT_FILE, MODELSLIM_FILE)):
        return members
    from k2compat.checkpoint import described_quantization  # 20 ms, for these exports alone

    return described_quantization(folder, members)


def read_config(path: Path) -> Mapping[str, Any]:
    """The members of the config.json in a folder.

    Raises:
        RefusedError: not-a-folder, model-without-config, and what reading a config raises.
    """
    from k2compat.config import read_text  # with the files and the Hub's cache 20 ms, for folders
    from k2compat.files import explained_reading, read_regular, real_path

    if not path.is_dir():
        raise RefusedError(
            "not-a-folder",
            f"{path} is not a folder.",
            hint=f"Name the folder that holds {CONFIG_FILE}.",
        )
    config = path / CONFIG_FILE
    with explained_reading(config):  # a folder that this user may not read does not lack a config
        is_there = config.exists()
    if not is_there:
        raise RefusedError(
            "model-without-config",
            f"{path} has no {CONFIG_FILE}: it is no model that an engine could load.",
            hint="Name the folder that holds config.json; k2compat stage-gguf brings it beside "
            "GGUFs.",
        )
    with explained_reading(config):
        return read_text(read_regular(real_path(config)), str(config)).members


def _thinks(folder: Path) -> bool | None:
    """Whether a folder's chat template opens a thought; None where it has no template.

    INT4 weights mark the thinking models of the family, but others store Instruct in INT4, and the
    thinking models in NVFP4 and MXFP4.
    """
    texts: list[str] = []
    for name in _TEMPLATES:
        path = folder / name
        try:
            if path.stat().st_size <= _TEMPLATE_BYTES_MAX:
                texts.append(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    found = [text for text in texts if "{%" in text]
    return any(_THOUGHT in text for text in found) if found else None


def _not_kimi(model: LaunchModel) -> Iterator[Finding]:
    if "deepseek" in model.facts:
        yield _codes.finding(
            "model-not-kimi",
            f"{model.folder}/{CONFIG_FILE}",
            "The config is DeepSeek-V3's, by its name and its router: these commands read tool "
            "calls in Kimi-K2's format.",
        )


def _assumed(named: Argument) -> LaunchModel:
    plain = plain_name(str(named))
    other = _OTHER_NAMES.search(plain)
    if other:
        _refuse_other(other[0].replace("kimi", "kimi_"), str(named))
    entry = next(entry for entry in _models().models if re.search(entry.pattern, plain))
    finding = _codes.finding(
        "model-assumed",
        str(named),
        f"{named} does not exist here; {entry.name} is assumed, with "
        f"{entry.quantisation.partition('-')[0].upper()} weights.",
        expected="a folder with the model's config.json",
        fix="Name the model's folder, where there is one, so that its config is read.",
    )
    others = re.search(_models().other_families, plain)
    unlike = _codes.finding(
        "model-other-name",
        str(named),
        f"{named} is the name of another model; these commands are for Kimi-K2.",
        fix="Name the model's folder, so that its config is judged.",
    )
    return LaunchModel(
        named,
        _config(entry),
        findings=(finding, *((unlike,) if others else ())),
        thinks=entry.thinks,
        loaded_bytes=(entry.routed_bytes, entry.other_bytes),
    )


def _config(entry: _AssumedModel) -> Mapping[str, Any]:
    quantisation = _models().quantisations[entry.quantisation]
    text = {**_models().sizes, **entry.config, "quantization_config": quantisation}
    wrapper = entry.wrapper
    return {"model_type": wrapper, WRAPPERS[wrapper]: text} if wrapper else text


def _refuse_other(model_type: str, named: str) -> None:
    if model_type in SED_ACCIDENTS:
        raise RefusedError(
            "model-other-architecture",
            f"{named} is {model_type}, a name that no engine knows: an edit of the text made it of "
            f"{SED_ACCIDENTS[model_type]}.",
            hint=f"Write {SED_ACCIDENTS[model_type]} as the model_type in its {CONFIG_FILE} again.",
        )
    reason = OTHER_ARCHITECTURES.get(model_type)
    if reason is None and model_type not in (*SWITCHABLE, *WRAPPERS):
        reason = "no model of the Kimi-K2 family"
    if reason:
        raise RefusedError(
            "model-other-architecture",
            f"{named} is {model_type}: {reason}, so none of these commands is for it.",
            hint="Follow that model's own deployment guide.",
        )


@cache
def _models() -> _Models:
    return read_toml(_MODELS, _Models)
