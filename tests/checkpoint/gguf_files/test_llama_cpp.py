"""Our word on GGUFs against llama.cpp's: what is sound runs there, what it refuses is found."""

from pathlib import Path

import pytest

from k2compat.checkpoint.engines.verdicts import Judged, engine_table, verdicts_of
from k2compat.checkpoint.gguf_files.comparison import compare_gguf
from k2compat.checkpoint.gguf_files.header import GgufHeader, read_gguf
from k2compat.findings import Finding
from k2compat.samples import write_gguf
from tests.checkpoint.gguf_files.gguf_bytes import Bytes, Tensor
from tests.checkpoint.gguf_files.gguf_cases import BROKEN, SOUND, Case
from tests.checkpoint.gguf_files.gguf_models import tiny
from tests.support.amount import sampled
from tests.support.llama_cpp import run_in_llama_cpp

pytest.importorskip("xllamacpp", reason="no wheel of xllamacpp for this platform")

B = Bytes()
CASES = {
    f"{case.code or 'sound'}: {case.what}": case for case in sampled((*SOUND, *BROKEN), every=3)
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, bool]:
    """Whether each case ran."""
    paths = {
        case.make().write(folder / f"{number}.gguf"): name
        for number, (name, case) in enumerate(CASES.items())
    }
    return {paths[path]: ran for path, ran in run_in_llama_cpp(paths).items()}


def findings(headers: dict[str, GgufHeader]) -> list[Finding]:
    own = [finding for header in headers.values() for finding in header.findings]
    return [*own, *compare_gguf(headers).findings]


def refused(headers: dict[str, GgufHeader]) -> bool:
    """Whether our verdict for llama.cpp is that it refuses."""
    codes = frozenset(finding.code for finding in findings(headers))
    judged = Judged("model.gguf", "gguf", headers=headers, found=codes)
    return any(verdicts_of(engine_table("llama.cpp"), judged))


def read(*paths: Path) -> dict[str, GgufHeader]:
    return {str(path): read_gguf(path) for path in paths}


@pytest.mark.parametrize("name", CASES)
def test_llama_cpp_runs_what_it_should(name: str, outcomes: dict[str, bool]) -> None:
    assert outcomes[name] is CASES[name].runs


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_verdict_is_what_llama_cpp_does(case: Case) -> None:
    if refused({"model.gguf": case.make().header()}):
        assert not case.runs
    elif not case.runs:
        # A tokenizer that is only odd is refused by some releases of llama.cpp.
        assert case.code == "gguf-tokenizer-other"


@pytest.mark.parametrize("joint_mla", [True, False])
def test_the_sample_is_sound_and_runs(joint_mla: bool, tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_gguf(path, joint_mla=joint_mla)
    assert findings(read(path)) == []
    assert run_in_llama_cpp([path]) == {path: True}


def test_a_split_set_runs_from_its_first_file_and_not_without_one(tmp_path: Path) -> None:
    paths = [
        member.write(tmp_path / f"tiny-{number:05}-of-00002.gguf")
        for number, member in enumerate(tiny().split(), 1)
    ]
    assert findings(read(*paths)) == []
    assert run_in_llama_cpp(paths[:1]) == {paths[0]: True}
    paths[1].unlink()
    assert refused(read(paths[0]))
    assert run_in_llama_cpp(paths[:1]) == {paths[0]: False}


def gap(entries: list[Tensor]) -> list[Tensor]:
    return [entries[0], *(entry._replace(offset=entry.offset + 32) for entry in entries[1:])]


def overlap(entries: list[Tensor]) -> list[Tensor]:
    return [entries[0], entries[1]._replace(offset=0), *entries[2:]]


def unaligned(entries: list[Tensor]) -> list[Tensor]:
    return [entries[0], entries[1]._replace(offset=entries[1].offset + 4), *entries[2:]]


def duplicate(entries: list[Tensor]) -> list[Tensor]:
    return [entries[0], entries[1]._replace(name=entries[0].name), *entries[2:]]


LAYOUT = {
    "gguf-tensor-gap": gap,
    "gguf-tensor-overlap": overlap,
    "gguf-tensor-unaligned": unaligned,
    "gguf-tensor-duplicate": duplicate,
}


def test_what_is_wrong_with_a_header_is_refused(tmp_path: Path) -> None:
    entries, size = tiny().entries()
    contents = {
        code: B.file(tiny().keys(), damage(entries), size + 64) for code, damage in LAYOUT.items()
    }
    contents["gguf-data-truncated"] = tiny().content()[:-1]
    contents["gguf-key-duplicate"] = B.file(tiny().keys() * 2, entries, size)
    paths = {code: tmp_path / f"{code}.gguf" for code in contents}
    for code, content in contents.items():
        paths[code].write_bytes(content)
        assert code in {finding.code for finding in findings(read(paths[code]))}
        assert refused(read(paths[code]))
    assert not any(run_in_llama_cpp(paths.values()).values())


def test_every_code_that_llama_cpp_refuses_was_loaded_there() -> None:
    refuses = engine_table("llama.cpp").refuses
    assert refuses is not None
    elsewhere = {*LAYOUT, "gguf-data-truncated", "gguf-key-duplicate", "gguf-split-missing"}
    loaded = {case.code for case in BROKEN if not case.runs} | elsewhere
    assert refuses.findings == loaded - {"gguf-tokenizer-other"}
