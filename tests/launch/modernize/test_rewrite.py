"""Old commands become today's, each change with its reason."""

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k2compat.errors import RefusedError
from k2compat.findings import Finding, Severity
from k2compat.launch.flags import check_arguments, flag_table, newest_version
from k2compat.launch.modernize.rewrite import Modernized, modernize_text
from k2compat.launch.modernize.shell_text import statements
from tests.support import guide
from tests.support.amount import examples

NEWEST = newest_version("vllm")


def changes(modernized: Modernized) -> list[tuple[str, str]]:
    return [(c.before, c.after) for command in modernized.commands for c in command.changes]


def findings(modernized: Modernized) -> list[Finding]:
    of_commands = [finding for command in modernized.commands for finding in command.findings]
    return [*modernized.findings, *of_commands]


def codes(modernized: Modernized) -> list[str]:
    return [finding.code for finding in findings(modernized)]


@pytest.mark.parametrize("name", guide.ENGINE_COMMANDS)
def test_every_command_of_the_guide_is_taken_by_the_newest_parser(name: str) -> None:
    modernized = modernize_text(guide.ENGINE_COMMANDS[name])
    assert modernized.commands
    for command in modernized.commands:
        (statement,) = statements(command.after)
        words = [word.value for word in statement.words]
        front = {"vllm": 2, "trtllm": words.index("serve") + 1 if "serve" in words else 0}
        begin = front.get(command.engine, words.index("python") + 3 if "python" in words else 0)
        found = check_arguments(
            command.engine, newest_version(command.engine), command.entry, words[begin:]
        )
        assert found == ()
    assert [f for f in findings(modernized) if f.severity is Severity.ERROR] == []


@pytest.mark.parametrize(
    "text", [*guide.ENGINE_COMMANDS.values(), guide.TRTLLM_SETTINGS, guide.WHOLE]
)
def test_its_own_output_stays_as_it_is(text: str) -> None:
    first = modernize_text(text)
    second = modernize_text(first.text)
    assert second.text == first.text
    assert changes(second) == []


@pytest.mark.parametrize("name", guide.OTHER_COMMANDS)
def test_other_commands_of_the_guide_are_not_touched(name: str) -> None:
    modernized = modernize_text(guide.OTHER_COMMANDS[name])
    assert modernized.text == guide.OTHER_COMMANDS[name]
    assert codes(modernized) == ["no-engine-command"]


def test_tensor_parallelism_over_two_nodes_names_ray() -> None:
    modernized = modernize_text(guide.VLLM_TP)
    old = "--tensor-parallel-size 16"
    assert changes(modernized) == [(old, f"{old} --distributed-executor-backend ray")]
    assert modernized.text == guide.VLLM_TP.replace(
        old, f"{old} --distributed-executor-backend ray"
    )
    (command,) = modernized.commands
    assert command.line == 4
    assert command.changes[0].since == "0.13.0"
    assert command.changes[0].source


def test_data_parallelism_is_as_it_was() -> None:
    modernized = modernize_text(guide.VLLM_DP)
    assert modernized.text == guide.VLLM_DP
    assert changes(modernized) == []


def test_only_the_words_that_change_are_written_anew() -> None:
    expected = (
        guide.SGLANG_PD.replace("$PREFILL_NODE0$:", "$PREFILL_NODE0:")
        .replace("--dp-size", "--attn-dp-size")
        .replace(" --enable-dp-attention", "")
        .replace("--enable-deepep-moe", "--moe-a2a-backend deepep")
        .replace("--cuda-graph-bs 480", "--cuda-graph-bs-decode 480")
        .replace(
            "sglang.srt.disaggregation.launch_lb",
            "sglang_router.launch_router --pd-disaggregation --host 0.0.0.0 --port 8000",
        )
    )
    modernized = modernize_text(guide.SGLANG_PD)
    assert modernized.text == expected
    assert codes(modernized) == ["stray-dollar"]


def test_the_old_ktransformers_server_becomes_sglang() -> None:
    (command,) = modernize_text(guide.KTRANSFORMERS).commands
    assert shlex.split(command.after) == shlex.split(
        "python -m sglang.launch_server --trust-remote-code --model-path /path/to/K2 "
        "--kt-method LLAMAFILE --kt-weight-path /path/to/K2 --max-total-tokens 30000"
    )
    (command,) = modernize_text(guide.KTRANSFORMERS_AMX).commands
    assert "--kt-method AMXINT4" in command.after
    assert "LLAMAFILE" not in command.after


def test_a_flag_of_the_first_program_is_not_handed_on() -> None:
    modernized = modernize_text("python -m dynamo.vllm --model m --is-decode-worker --port 1")
    (command,) = modernized.commands
    assert command.after == "python -m dynamo.vllm --model m --disaggregation-mode decode --port 1"
    assert codes(modernized) == []


def test_the_settings_file_in_a_here_document() -> None:
    modernized = modernize_text(guide.TRTLLM_SETTINGS)
    assert modernized.text == guide.TRTLLM_SETTINGS.replace("padding_enabled", "enable_padding")
    assert codes(modernized) == ["settings-key-mended"]
    old = modernize_text(guide.TRTLLM_SETTINGS, {"trtllm": "1.0.0rc2"})
    assert old.text == guide.TRTLLM_SETTINGS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vllm serve m -tp 8", "vllm serve m -tp 8"),
        ("vllm serve m --swap-space 4 --port 1", "vllm serve m --port 1"),
        ("vllm serve m --swap-space=4", "vllm serve m"),
        (
            "vllm serve m --guided-decoding-backend=outlines",
            "vllm serve m --structured-outputs-config.backend outlines",
        ),
        (
            """vllm serve m --rope-scaling '{"factor": 4}'""",
            """vllm serve m --hf-overrides '{"rope_parameters": {"factor": 4}}'""",
        ),
        (
            'vllm serve m --rope-scaling "$ROPE"',
            'vllm serve m --hf-overrides "{\\"rope_parameters\\": $ROPE}"',
        ),
        ("vllm serve --port 1 --model m", "vllm serve m --port 1"),
        (
            'python3 -m vllm.entrypoints.openai.api_server --port "$P" --model "a b"',
            'vllm serve "a b" --port "$P"',
        ),
        ("vllm serve m --max-num-se=8", "vllm serve m --max-num-seqs=8"),
        ("vllm serve m --max-num-se=", "vllm serve m --max-num-seqs="),
        ('vllm serve m "--max-num-se=$N"', 'vllm serve m --max-num-seqs="$N"'),
        ("vllm serve m --cuda-graph-sizes 64", "vllm serve m --max-cudagraph-capture-size 64"),
        (
            "vllm serve m --cuda-graph-sizes 8 16",
            "vllm serve m --cudagraph-capture-sizes 8 16",
        ),
        ("vllm serve m --no-enable-lora", "vllm serve m --disable-lora"),
        ("vllm serve m --data-parallel-start-rank 0", "vllm serve m"),
        (
            "python -m sglang.launch_server --model-path m --tp=16 --enable-ep-moe",
            "python -m sglang.launch_server --model-path m --tp-size=16 --ep-size 16",
        ),
        (
            "python -m sglang.launch_server --model-path m --cuda-graph-bs $SIZES",
            "python -m sglang.launch_server --model-path m --cuda-graph-bs-decode $SIZES",
        ),
        (
            "python -m sglang.srt.disaggregation.launch_lb --decode 'a b' c --port 9",
            (
                "python -m sglang_router.launch_router --pd-disaggregation --host 0.0.0.0 "
                "--decode 'a b' --decode c --port 9"
            ),
        ),
        (
            "X=1 sudo nohup python -m sglang.launch_server --model m --stream-output >log 2>&1 &",
            (
                "X=1 sudo nohup python -m sglang.launch_server --model m "
                "--incremental-streaming-output >log 2>&1 &"
            ),
        ),
        (
            "for i in 1 2; do vllm serve m --swap-space 1; done",
            "for i in 1 2; do vllm serve m; done",
        ),
        (
            "docker run -p 1:1 vllm/vllm-openai --model m --swap-space 4",
            "docker run -p 1:1 vllm/vllm-openai --model m",
        ),
        ("screen -dmS k2 vllm serve m --swap-space 4", "screen -dmS k2 vllm serve m"),
        ("kt run m --cuda-graph-bs 8", "kt run m --cuda-graph-bs 8"),
    ],
)
def test_translations(text: str, expected: str) -> None:
    assert modernize_text(text).text == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("vllm serve m --rope-theta 1", "flag-untranslated"),
        ("vllm serve m --nonsense 1", "flag-unknown"),
        ("vllm serve m --nonsense $X", "flag-unknown"),
        ("vllm serve m --port x", "flag-value"),
        ("vllm serve m -O3", "flag-meaning-changed"),
        ("vllm serve m --host $(hostname -i)", "substitution-carried"),
        ("vllm serve m > log", "redirection-carried"),
        ("docker run vllm/vllm-openai --model m", "image-version"),
        ("python -m sglang.launch_server --model m --enable-ep-moe", "flag-untranslated"),
        (
            "python -m sglang.srt.disaggregation.launch_lb --prefill-bootstrap-ports 1",
            "flag-untranslated",
        ),
        ("python ktransformers/server/main.py --gpu_split x --model_path m", "flag-untranslated"),
    ],
)
def test_what_cannot_be_translated_is_said(text: str, code: str) -> None:
    assert code in codes(modernize_text(text))


def test_what_only_the_shell_knows_is_no_fault() -> None:
    assert codes(modernize_text("vllm serve m $EXTRA")) == []
    assert codes(modernize_text("vllm serve m --port `id -u`")) == ["substitution-carried"]
    assert codes(modernize_text("vllm serve m extra")) == ["argument-unexpected"]


def test_a_word_whose_quotes_forbid_a_change_stays() -> None:
    text = "vllm serve m '--guided-decoding-backend=$X'\"$Y\""
    modernized = modernize_text(text)
    assert codes(modernized) == ["flag-untranslated"]
    text = "vllm serve m '--max-num-se=$X'\"$Y\""
    assert modernize_text(text).text == text
    text = "vllm serve m --rope-scaling $X'$'"
    assert codes(modernize_text(text)) == ["flag-untranslated"]


def test_a_deprecated_flag_whose_quotes_forbid_a_change_stays() -> None:
    text = "python -m sglang.launch_server --model m '--dp-size=$X'\"$Y\" --disable-cuda-graph"
    assert "'--dp-size=$X'\"$Y\"" in modernize_text(text).text
    text = "python -m sglang.launch_server --model m '--dp-size=$X'\"$Y\" --enable-dp-attention"
    assert "'--dp-size=$X'\"$Y\"" in modernize_text(text).text


def test_what_the_new_program_needs_is_added_once() -> None:
    text = "python ktransformers/server/main.py --model_path m --trust-remote-code"
    assert (
        modernize_text(text).text
        == "python -m sglang.launch_server --kt-method LLAMAFILE --model-path m "
        "--trust-remote-code"
    )


def test_nothing_is_added_that_is_there() -> None:
    text = "python ktransformers/server/main.py --model_path m --gguf_path g --trust-remote-code"
    (command,) = modernize_text(text).commands
    assert [change for change in command.changes if change.kind == "added"] == []


def test_a_settings_file_that_is_none_stays() -> None:
    for body in ("[", "a", "cuda_graph_config: 1", "padding_enabled: true"):
        text = f"cat >x.yml <<EOF\n{body}\nEOF\n"
        assert modernize_text(text).text == text


def test_for_another_version() -> None:
    text = "python -m sglang.launch_server --model-path m --enable-deepep-moe --cuda-graph-bs 8"
    assert modernize_text(text, {"": "0.4.9.post2"}).text == text
    at = modernize_text(text, {"sglang": "0.5.5"}).text
    assert at == text.replace("--enable-deepep-moe", "--moe-a2a-backend deepep")


def test_one_version_for_several_engines_is_refused() -> None:
    text = "vllm serve m\npython -m sglang.launch_server --model m"
    with pytest.raises(RefusedError) as refused:
        modernize_text(text, {"": NEWEST})
    assert refused.value.code == "engine-version-ambiguous"
    for versions in ({"": "x"}, {"vlm": "1"}):
        with pytest.raises(RefusedError):
            modernize_text("vllm serve m", versions)
    assert modernize_text("ls", {"": "1"}).commands == ()


_VALUES = st.sampled_from(["1", "'a b'", '"$X"', "$Y", "<Z>", "$(date)", "-1", "x=y", "'$q'"])


@settings(max_examples=examples(60))
@given(st.data())
def test_any_old_command_becomes_one_that_stays(data: st.DataObject) -> None:
    program, engine, version, entry = data.draw(
        st.sampled_from(
            [
                ("vllm serve m", "vllm", "0.10.0", "serve"),
                (
                    "python -m sglang.launch_server --model m",
                    "sglang",
                    "0.4.9.post2",
                    "sglang.launch_server",
                ),
                (
                    "python ktransformers/server/main.py",
                    "ktransformers",
                    "0.3.2",
                    "server.main",
                ),
                ("trtllm-serve m", "trtllm", "1.0.0rc2", "serve"),
            ]
        )
    )
    flags = data.draw(
        st.lists(st.sampled_from(flag_table(engine, version, entry).flags), max_size=4)
    )
    line = program
    for flag in flags:
        name = data.draw(st.sampled_from(flag.names))
        count = (
            flag.min_values
            if flag.max_values is None or flag.max_values == flag.min_values
            else flag.max_values
        )
        line += f" {name}" + "".join(f" {data.draw(_VALUES)}" for _ in range(count))
    first = modernize_text(line)
    second = modernize_text(first.text)
    assert second.text == first.text
    assert changes(second) == []
    # What is left are values and, for click, nothing: no name is unknown.
    unknown = {"flag-unknown", "flag-ambiguous", "flag-renamed", "flag-removed", "flag-refused"}
    assert not unknown & set(codes(first)), first.text
