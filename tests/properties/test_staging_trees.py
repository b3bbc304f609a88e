"""Staging over folders of any shape: what arrives is what was there, and nothing else changes."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from k2compat.staging import LinkMode, StagingAction, StagingRequest, stage
from k2compat.staging.left_out import reason_to_leave_out
from tests.support.amount import examples
from tests.support.models import tree

# Names that file systems allow, the awkward ones included.
_names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12
).filter(lambda name: name not in {".", ".."} and len(name.encode()) < 100)
_names |= st.sampled_from(["模型", "-rf", "a b", "$(x)", "new\nline", "model.safetensors", "x.bin"])
_files = st.dictionaries(
    st.lists(_names, min_size=1, max_size=3).map("/".join),
    st.binary(max_size=40).filter(
        lambda content: not content.startswith(b"version https://git-lfs")
    ),
    max_size=6,
)


def write_tree(folder: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    """Write what can be written: a path may need a folder where another has a file."""
    written = {}
    for name, content in files.items():
        place = folder / name
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        except OSError:
            continue
        written[name] = content
    return written


def is_staged(relative: str) -> bool:
    parts = relative.split("/")
    return not any(reason_to_leave_out("/".join(parts[: n + 1])) for n in range(len(parts)))


@settings(max_examples=examples(60), deadline=None)
@given(_files, _files, st.sampled_from(LinkMode), st.booleans())
def test_what_arrives_is_what_was_there(
    model_files: dict[str, bytes], target_files: dict[str, bytes], mode: LinkMode, force: bool
) -> None:
    with TemporaryDirectory() as name:
        model, target = Path(name) / "model", Path(name) / "target"
        model.mkdir()
        target.mkdir()
        (model / "config.json").write_text("{}")
        (target / "x.gguf").write_bytes(b"GGUF")
        write_tree(model, model_files)
        write_tree(target, target_files)
        source, before = tree(model), tree(target)
        expected = {name: content for name, content in source.items() if is_staged(name)}
        request = StagingRequest(model=model, gguf_folder=target, mode=mode, force=force)

        staging = stage(request)

        assert tree(model) == source
        after = {
            path: (target / path).read_bytes() if mode is LinkMode.SYMLINK else content
            for path, content in tree(target).items()
        }
        actions = {file.relative: file.action for file in staging.plan.files}
        assert actions.keys() == expected.keys()
        for path, content in expected.items():
            if actions[path] is StagingAction.CONFLICT:
                assert after.get(path) == before.get(path)
            else:
                assert after[path] == content
        untouched = before.keys() - {p for p, a in actions.items() if a is StagingAction.REPLACED}
        assert all(after[path] == before[path] for path in untouched)
        assert after.keys() == before.keys() | {
            path for path, action in actions.items() if action is not StagingAction.CONFLICT
        }
        again = stage(request)
        assert not again.plan.changes
