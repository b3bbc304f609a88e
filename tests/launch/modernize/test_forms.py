"""Each form of document: what is read in it, what is written back, what is reported as not read."""

import pytest

from k2compat.errors import RefusedError
from k2compat.launch.engines import engine_names
from k2compat.launch.flags import changes_of
from k2compat.launch.modernize.forms import read_document
from k2compat.launch.modernize.rewrite import modernize_text
from tests.launch.modernize.test_rewrite import codes


def texts(text: str) -> list[str]:
    """The values of each command's words."""
    return [" ".join(w.value for w in c.words) for c in read_document(text).commands if c.words]


def variables(text: str) -> dict[str, str]:
    return {name.text: name.value for name in read_document(text).variables}


COMPOSE = "services:\n  a:\n    image: vllm/vllm-openai\n"
POD = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: vllm/vllm-openai\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{COMPOSE}  b: {{image: redis, ports: []}}\n", []),
        (f"{COMPOSE}    command: [--a, [b]]\n", []),
        (f"{COMPOSE}    entrypoint: [bash, -lc]\n    command: ['a m && x']\n", ["a m", "x"]),
        (f"{COMPOSE}    entrypoint: [bash, -x]\n    command: [m]\n", ["bash -x m"]),
        (f"{COMPOSE}    command: |\n      --model m\n      --port 1\n", ["--model m --port 1"]),
        (f"{POD}    args: [--model, m]\n", ["--model m"]),
        (f"{POD}    command: [sh, -c]\n    args:\n    - >-\n      a &&\n      b c\n", ["a", "b c"]),
        ("x: &c {command: [a, b]}\n" + POD.replace("image:", "<<: *c\n    image:"), ["a b", "a b"]),
    ],
)
def test_commands(text: str, expected: list[str]) -> None:
    assert texts(text)[-len(expected) :] == expected if expected else texts(text) == []


def test_merged_members_are_members() -> None:
    text = (
        "x-base: &base {command: [--port, '1'], image: redis}\n"
        "services:\n  a:\n    <<: [*base]\n    image: vllm/vllm-openai\n"
    )
    (command,) = read_document(text).commands
    assert command.image is not None
    assert command.image.text == "vllm/vllm-openai"


def test_variables_of_each_form() -> None:
    mapping = f"{COMPOSE}    environment: {{VLLM_USE_V1: 1, B: [x]}}\n"
    assert variables(mapping) == {"VLLM_USE_V1": "1"}
    listed = f"{COMPOSE}    environment: ['VLLM_USE_V1=1']\n"
    assert variables(listed) == {"VLLM_USE_V1": "1"}
    entries = "[{name: A, value: b}, {name: C, valueFrom: {x: y}}, z]"
    pod = f"{POD}    env: {entries}\n"
    assert variables(pod) == {"A": "b", "C": ""}
    unit = '[Service]\nEnvironment="A=b c" D=e f\n'
    assert variables(unit) == {"A": "b c", "D": "e"}
    script = "export A=1 B\nC=2 vllm serve m\ndocker run -e 'D=3' --env E x\n"
    assert variables(script) == {"A": "1", "C": "2", "D": "3"}


def test_a_variable_is_judged_by_the_release_in_the_image() -> None:
    pinned = COMPOSE.replace("vllm/vllm-openai", "vllm/vllm-openai:v0.11.0")
    second = "  b:\n    image: vllm/vllm-openai\n    command: [--port, '2']\n"
    cases: list[tuple[str, str, list[str]]] = [
        (pinned, "", []),
        (COMPOSE, "", ["variable-gone"]),
        (pinned, second, ["variable-gone"]),
    ]
    for compose, more, found in cases:
        text = f"{compose}    environment: ['VLLM_USE_V1=1']\n    command: [--port, '1']\n{more}"
        assert [f.code for f in modernize_text(text).findings] == found


def test_an_image_decides_for_its_own_command_alone() -> None:
    pinned = "docker run vllm/vllm-openai:v0.9.0 --model m --disable-log-requests"
    text = f"{pinned}\nvllm serve m --disable-log-requests\n"
    assert modernize_text(text).text == f"{pinned}\nvllm serve m\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('["--tp", "8", "--model-path", "m"]', '["--tp-size", "8", "--model-path", "m"]'),
        ("['--tp', '8', '--model-path', 'm']", "['--tp-size', '8', '--model-path', 'm']"),
        ("[--tp, '8', --model-path, m]", "[--tp-size, '8', --model-path, m]"),
    ],
)
def test_new_items_are_quoted_as_the_others(before: str, after: str) -> None:
    compose = "services:\n  a:\n    image: lmsysorg/sglang:v0.5.23\n"
    compose += "    entrypoint: [python3, -m, sglang.launch_server]\n    command: "
    assert modernize_text(compose + before).text == compose + after


def test_a_renamed_variable_is_renamed_in_its_place() -> None:
    text = f'{COMPOSE}    environment:\n      - "SGL_ENABLE_X=1"\n'
    modernized = modernize_text(text)
    assert modernized.text == text.replace("SGL_", "SGLANG_")
    assert codes(modernized) == ["variable-renamed"]


def test_a_variable_that_is_gone_names_the_flag() -> None:
    modernized = modernize_text("VLLM_ATTENTION_BACKEND=FLASHMLA vllm serve m\n")
    (finding,) = modernized.findings
    assert finding.code == "variable-gone"
    assert finding.fix == "Leave it out, and give the flag --attention-backend FLASHMLA."
    (finding,) = modernize_text("VLLM_ATTENTION_BACKEND=$X vllm serve m\n").findings
    assert finding.fix == "Leave it out, and give the flag --attention-backend $X."


@pytest.mark.parametrize(
    ("line", "version", "code"),
    [
        ("VLLM_USE_V1=1 vllm serve m", "0.11.0", ""),
        ("VLLM_USE_V1=1 vllm serve m", "0.11.1", "variable-gone"),
        ("VLLM_ATTENTION_BACKEND=FLASHMLA vllm serve m", "0.14.1", ""),
        ("VLLM_ATTENTION_BACKEND=FLASHMLA vllm serve m", "0.15.0", "variable-gone"),
        ("VLLM_USE_FLASHINFER_MOE_FP4=1 vllm serve m", "0.23.0", ""),
        ("VLLM_USE_FLASHINFER_MOE_FP4=1 vllm serve m", "0.24.0", "variable-gone"),
        # The newest release reads this one still; the first is 0.16.0.
        ("VLLM_USE_FLASHINFER_MOE_INT4=1 vllm serve m", "0.33.0", ""),
        ("VLLM_USE_FLASHINFER_MOE_INT4=1 vllm serve m", "0.15.1", "variable-gone"),
        ("SGL_X=1 sglang serve --model m", "0.5.3", ""),
        ("SGL_X=1 sglang serve --model m", "0.5.4", "variable-renamed"),
        ("SGL_USE_DEEPGEMM_BMM=1 sglang serve --model m", "0.5.3", ""),
        ("SGL_USE_DEEPGEMM_BMM=1 sglang serve --model m", "0.5.10", ""),
        ("SGL_USE_DEEPGEMM_BMM=1 sglang serve --model m", "0.5.23", "variable-renamed"),
        ("SGLANG_USE_DEEPGEMM_BMM=1 sglang serve --model m", "0.5.10", "variable-gone"),
        ("SGL_FORCE_SHUTDOWN=1 sglang serve --model m", "0.5.23", ""),
        ("SGLANG_ENABLE_SPEC_V2=1 sglang serve --model m", "0.5.13", ""),
        ("SGLANG_ENABLE_SPEC_V2=1 sglang serve --model m", "0.5.14", "variable-gone"),
    ],
)
def test_variables_are_judged_by_the_version(line: str, version: str, code: str) -> None:
    modernized = modernize_text(line, {"": version})
    assert [f.code for f in modernized.findings] == [code] * bool(code)


def test_a_command_in_a_list_is_named_as_a_shell_has_it() -> None:
    (finding,) = modernize_text(
        "```python\nrun(['vllm', 'serve', 'm', '--port', '1'])\n```\n"
    ).findings
    assert finding.message.startswith("vllm serve starts an engine, and was not read")


@pytest.mark.parametrize("engine", engine_names())
def test_every_change_of_a_variable_has_its_version(engine: str) -> None:
    # No table lists the variables of a release, so nothing else could date the change.
    assert [each.flag for each in changes_of(engine, "environment") if not each.since] == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\nrun(['vllm', 'serve', 'm', '--port', '1'])\n```\n", "command-unread"),
        ("```\nvllm serve 'm --port 1\n```\n", "command-unread"),
        ("As `vllm serve m --port 1` does.\n```\nls\n```\n", "command-unread"),
        ("```\nit's\n```\n", "no-engine-command"),
        ("```\nls\n```\nUse vllm serve.\n", "no-engine-command"),
        ("# vllm serve m --port 1\nls\n", "no-engine-command"),
        ('bash -c "vllm serve \'m"\n', "command-unread"),
        ('bash -c "vllm serve \\"m\\""\n', "command-unread"),
        (f'{POD}    command: ["sh", "-c", "vllm serve \\"m\\""]\n', "command-unread"),
        (f'{POD}    command: ["sh", "-c", "ls \\"m\\""]\n', "no-engine-command"),
        ("vllm serve m --config k2.yaml\n", "config-file-unread"),
    ],
)
def test_what_was_not_read_is_reported(text: str, code: str) -> None:
    assert code in codes(modernize_text(text))


def test_a_config_file_that_the_text_writes_is_read_with_it() -> None:
    text = "cat > k2.yaml <<EOF\nmodel: m\nswap-space: 4\nEOF\nvllm serve --config k2.yaml\n"
    modernized = modernize_text(text)
    assert modernized.text == text.replace("swap-space: 4\n", "")
    assert codes(modernized) == []


def test_what_is_only_printed_is_no_command() -> None:
    assert texts("echo 'vllm serve m'") == ["echo vllm serve m"]


def test_quotes_that_cannot_hold_an_edit() -> None:
    text = 'bash -c "vllm serve m --rope-scaling $X --swap-space 4"\nvllm serve m --swap-space 4\n'
    modernized = modernize_text(text)
    assert modernized.text == text.replace("m --swap-space 4\n", "m\n")
    assert "edit-not-possible" in codes(modernized)


@pytest.mark.parametrize(
    "text", ["services:\n  a: {{ .Values.x }}: [\n", "apiVersion: v1\nkind: {{ if }}\n a"]
)
def test_a_template_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(RefusedError, match="is not YAML in line") as refused:
        modernize_text(text)
    assert refused.value.code == "document-malformed"


def test_a_config_file() -> None:
    text = (
        "model: m\nlora-modules: [a, b]\nhf-overrides: {x: 1}\nmiddleware: [{a: 1}]\n"
        "cuda-graph-sizes: [8, 16]\nguided-decoding-backend: xgrammar\n"
        "seed: -1\ndisable-log-requests: true\n"
    )
    now = modernize_text(text).text
    assert "lora-modules: [a, b]\nhf-overrides: {x: 1}\nmiddleware: [{a: 1}]\n" in now
    assert "cudagraph-capture-sizes: ['8', '16']\n" in now
    assert "structured-outputs-config.backend: xgrammar\n" in now
    assert "disable-log-requests" not in now


@pytest.mark.parametrize("text", ["a: [\n", "name: x\nother: y\n", "a: 1\n---\nb: 2\n", "{}\n"])
def test_other_yaml_is_no_config_file(text: str) -> None:
    assert read_document(text).form == "shell script"


def test_settings_of_tensorrt_llm_alone() -> None:
    text = "cuda_graph_config:\n  padding_enabled: true\nprint_iter_log: true\n"
    assert modernize_text(text).text == text.replace("padding_enabled", "enable_padding")


def test_a_comment_behind_an_item_that_goes_stays() -> None:
    items = "    - --swap-space  # first\n    - '4'\n    - --model\n    - it's\n"
    text = f"{COMPOSE}    command:\n{items}"
    expected = text.replace("- --swap-space  # first\n    - '4'\n    - --model", "- --model")
    assert modernize_text(text).text == expected.replace("--model\n", "--model\n    # first\n")


def test_words_that_need_quotes_get_them() -> None:
    text = (
        f"{COMPOSE}    command: [--rope-scaling, '{{\"a\": 1}}', --model, m, --max-num-se, '8']\n"
    )
    now = modernize_text(text).text
    assert """--hf-overrides, '{"rope_parameters": {"a": 1}}'""" in now
    assert "--max-num-seqs, '8'" in now
    text = f"{COMPOSE}    command: [--rope-scaling, '{{\"a\": \"it''s\"}}', --model, m]\n"
    assert "it's" in read_document(modernize_text(text).text).commands[0].words[1].value


def test_flags_that_do_harm_together() -> None:
    line = "python -m sglang.launch_server --model-path m --dp-size 2 --attn-dp-size 2"
    assert "flag-combination" in codes(modernize_text(line))


@pytest.mark.parametrize(
    ("flags", "gpus", "refused"),
    [
        ("-tp 16", 8, True),
        ("--tensor_parallel_size=16", 8, True),
        ("-tp 8 -pp 2", 8, True),
        ("-pp 16", 8, True),
        ("-tp 4 -pp 2", 8, False),
        ("-tp 8", 4, True),
        ("-tp $N -pp 2", 8, False),
        ("-tp 16 --nnodes 2", 8, False),
    ],
)
def test_a_world_larger_than_the_node(flags: str, gpus: int, refused: bool) -> None:
    now = modernize_text(f"vllm serve m {flags}\n", gpus_per_node=gpus).text
    assert ("--distributed-executor-backend ray" in now) == refused


def test_a_flag_that_needs_another_one() -> None:
    now = modernize_text("vllm serve Kimi-K2-Instruct --enable-auto-tool-choice\n").text
    assert now.endswith("--enable-auto-tool-choice --tool-call-parser kimi_k2\n")
    other = "vllm serve other --enable-auto-tool-choice\n"
    assert modernize_text(other).text == other


def test_a_system_python_stays() -> None:
    text = "/usr/bin/python3 -m vllm.entrypoints.openai.api_server --model m\n"
    assert modernize_text(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "swap-space: 4\ndisable-log-requests: true\n",  # nothing would be left
        f"{COMPOSE}    command: --model m --rope-scaling a\n",  # a colon in a plain scalar
    ],
)
def test_a_form_that_cannot_hold_the_edit(text: str) -> None:
    modernized = modernize_text(text)
    assert modernized.text == text
    assert "edit-not-possible" in codes(modernized)


@pytest.mark.parametrize(
    "items", ["[--tensor-parallel-size=16]", "\n    - --tensor-parallel-size=16"]
)
def test_a_list_of_one_item_grows(items: str) -> None:
    now = modernize_text(f"{COMPOSE}    command: {items}\n").text
    assert texts(now) == ["--tensor-parallel-size 16 --distributed-executor-backend ray"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sglang serve another/model --tp-size 8", []),
        ("sglang serve --model-path m --tp-size 8", []),
        ("sglang serve --tp-size 8 m", ["argument-unexpected", "flag-missing"]),
        ("sglang serve m n", ["argument-unexpected"]),
        ("python -m sglang.launch_server m", ["argument-unexpected", "flag-missing"]),
    ],
)
def test_sglang_serve_takes_the_model_in_front(line: str, expected: list[str]) -> None:
    assert codes(modernize_text(line)) == expected


PINNED = "image: vllm/vllm-openai:v0.20.0\n"
SERVICE = f"services:\n  a:\n    {PINNED}"
CONTAINER = f"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - {PINNED}"


@pytest.mark.parametrize(
    "text",
    [
        f"{SERVICE}    command: --model m --swap-space 4\n",
        f"{SERVICE}    command: moonshotai/m --swap-space 4\n",
        f"{SERVICE}    command: [/models/m, --swap-space, '4']\n",
        f"{CONTAINER}    args: [moonshotai/m, --swap-space=4]\n",
        f"{CONTAINER}    args: [--model=m, --swap-space=4]\n",
        "docker run vllm/vllm-openai:v0.20.0 moonshotai/m --swap-space 4\n",
    ],
)
def test_an_image_starts_its_own_server(text: str) -> None:
    modernized = modernize_text(text)
    (command,) = modernized.commands
    assert command.engine_version == "0.20.0"
    assert "swap-space" not in modernized.text


@pytest.mark.parametrize(
    "text",
    [
        f"{SERVICE}    entrypoint: sh\n    command: moonshotai/m --swap-space 4\n",
        f"{SERVICE}    command: python3 main.py --swap-space 4\n",
        f"{SERVICE}    command: m\n",
        f"{SERVICE}    command: /usr/bin/m --swap-space 4\n",
        f"{CONTAINER}    command: [m]\n    args: [--swap-space=4]\n",
        "docker run --entrypoint bash vllm/vllm-openai:v0.20.0 -c ls\n",
        f"{SERVICE}    ports: []\n",
    ],
)
def test_another_program_in_the_image_is_no_server(text: str) -> None:
    modernized = modernize_text(text)
    assert modernized.commands == ()
    assert modernized.text == text


def test_a_command_in_quotes_behind_another_entry_point() -> None:
    text = "docker run --entrypoint bash vllm/vllm-openai -c 'vllm serve m --swap-space 4'\n"
    modernized = modernize_text(text)
    assert modernized.text == text.replace(" --swap-space 4", "")
    assert len(modernized.commands) == 1


SGLANG, TRTLLM = "lmsysorg/sglang:v0.5.10", "nvcr.io/nvidia/tensorrt-llm/release:1.2.0"
SERVER = "python3 -m sglang.launch_server"


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (f"docker run --gpus all {SGLANG} --model-path m --tp 8\n", SERVER),
        (f"X=1 docker run -p 1:1 {SGLANG} \\\n  --model-path m\n", SERVER),
        (f"podman run {TRTLLM} --tp_size 8\n", "trtllm-serve"),
        (f"services:\n  a:\n    image: {SGLANG}\n    command: --model-path m --tp 8\n", SERVER),
        (f"services:\n  a:\n    image: {SGLANG}\n    command: [--model-path, m]\n", SERVER),
        (f"services:\n  a:\n    image: {TRTLLM}\n    command: a/m --tp_size 8\n", "trtllm-serve"),
        (f"{POD.replace('vllm/vllm-openai', SGLANG)}    args: [--model-path, m]\n", SERVER),
        (
            f"{POD.replace('vllm/vllm-openai', TRTLLM)}    args: [a/m, --tp_size=8]\n",
            "trtllm-serve",
        ),
    ],
)
def test_an_image_without_a_server_needs_a_program(text: str, program: str) -> None:
    modernized = modernize_text(text)
    assert modernized.text == text
    (finding,) = modernized.findings
    assert finding.code == "image-without-program"
    assert finding.fix == f"Write {program} in front of the flags."


@pytest.mark.parametrize(
    "text",
    [
        f"docker run {SGLANG} bash start.sh --tp 8\n",
        f"docker run {SGLANG}\n",
        f"docker run --entrypoint sglang {SGLANG} --model-path m\n",
        "docker run redis --port 1\n",
        f"docker pull {SGLANG}\n",
        f"services:\n  a:\n    image: {SGLANG}\n    command: bash start.sh --tp 8\n",
        f"services:\n  a:\n    image: {SGLANG}\n    entrypoint: run\n    command: --tp 8\n",
        f"services:\n  a:\n    image: {SGLANG}\n",
        "services:\n  a:\n    image: redis\n    command: --port 1\n",
        f"{POD.replace('vllm/vllm-openai', SGLANG)}    command: [run]\n    args: [--tp, '8']\n",
    ],
)
def test_an_image_that_is_given_a_program_is_no_fault(text: str) -> None:
    found = modernize_text(text).findings
    assert "image-without-program" not in [finding.code for finding in found]


ENTRY_POINT = f"{COMPOSE}    entrypoint: [sh, -c, 'vllm serve m \"$@\"', x]\n"
BEHIND = (
    f"{POD}    command: [sh, -c, 'ulimit -l 1; exec vllm serve \"$@\"', --]\n"
    "    args: [m, --swap-space, '4', --port, '1']\n"
)


@pytest.mark.parametrize(
    ("text", "then"),
    [
        (BEHIND, "args: [m, --port, '1']"),
        (
            f"{ENTRY_POINT}    command: [--swap-space, '4', --port, '1']\n",
            "command: [--port, '1']",
        ),
        (
            f'{POD}    command: [sh, -c, \'vllm serve m "$@" >log\', x, --swap-space, "4"]\n',
            """vllm serve m "$@" >log', x]""",
        ),
    ],
)
def test_what_stands_behind_a_script_is_its_arguments(text: str, then: str) -> None:
    modernized = modernize_text(text)
    (command,) = modernized.commands
    assert "arguments-unread" not in [finding.code for finding in command.findings]
    if then.endswith("x]"):  # all items behind the script would go: nothing is written
        assert modernized.text == text
        return
    assert then in modernized.text
    assert '"$@"' in modernized.text
    assert modernize_text(modernized.text).text == modernized.text


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ('vllm serve "$@"\n', True),
        ("vllm serve m ${ARGS[@]} --port 1\n", True),
        ('vllm serve m "${ARGS[*]}"\n', True),
        ("vllm serve m $PORT --port ${PORT}\n", False),
        (f"{POD}    command: [sh, -c, 'vllm serve \"$@\"']\n", True),
        (f"{POD}    command: [sh, -c, 'vllm serve \"$@\" --port 1', x, m]\n", True),
        (f"{POD}    command: [sh, -c, '\"$@\"', x, m]\n", None),
    ],
)
def test_arguments_that_lie_elsewhere_are_named(text: str, unread: bool | None) -> None:
    modernized = modernize_text(text)
    found = [f.code for command in modernized.commands for f in command.findings]
    assert ("arguments-unread" in found) is bool(unread)
    assert (modernized.commands == ()) is (unread is None)
