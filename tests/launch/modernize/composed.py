"""Commands in further forms, composed by us: no public thread was at hand. See `posted.py`."""

from tests.launch.modernize.posted import COMPOSE, MANIFEST, SHELL, UNIT, Posted

COMPOSED = {
    "api-server-with-uv": Posted(
        SHELL,
        ("vllm",),
        "uv run python -m vllm.entrypoints.openai.api_server --model moonshotai/Kimi-K2-Thinking "
        "--tensor-parallel-size=8 --swap-space 16\n",
        ("uv run vllm serve moonshotai/Kimi-K2-Thinking --tensor-parallel-size=8\n",),
    ),
    "docker-rocm": Posted(
        SHELL,
        ("vllm",),
        "docker run --device /dev/kfd --device /dev/dri --group-add video --ipc host "
        "vllm/vllm-openai-rocm:v0.14.1 moonshotai/Kimi-K2-Instruct -tp 8 --swap-space 4\n",
        ("vllm-openai-rocm:v0.33.0 moonshotai/Kimi-K2-Instruct -tp 8\n",),
        version="0.33.0",
    ),
    "kt-by-sglang-serve": Posted(
        SHELL,
        ("ktransformers",),
        "SGL_ENABLE_JIT_DEEPGEMM=1 sglang serve --model-path /models/Kimi-K2.5 --kt-method "
        "RAWINT4 --kt-weight-path /models/Kimi-K2.5 --kt-num-gpu-experts 30 "
        "--tensor-parallel-size 4 --attention-backend flashinfer\n",
        ("SGLANG_ENABLE_JIT_DEEPGEMM=1 sglang serve",),
    ),
    "docker-pinned": Posted(
        SHELL,
        ("vllm",),
        "docker run --gpus all vllm/vllm-openai:v0.10.0 --model moonshotai/Kimi-K2-Instruct "
        "--tensor-parallel-size 16 --swap-space 4 --disable-log-requests\n",
        ("--swap-space 4", "vllm-openai:v0.10.0", "not --distributed"),
    ),
    "docker-pinned-raised": Posted(
        SHELL,
        ("vllm",),
        "docker run --gpus all vllm/vllm-openai:v0.10.0 --model moonshotai/Kimi-K2-Instruct "
        "--tensor-parallel-size 8 --swap-space 4\n",
        ("vllm-openai:v0.33.0", "not --swap-space"),
        version="0.33.0",
    ),
    "bash-c": Posted(
        SHELL,
        ("vllm",),
        "ssh node1 'cd /opt && source venv/bin/activate && vllm serve /k2 -tp 8 --swap-space 4'\n",
        ("&& vllm serve /k2 -tp 8'",),
    ),
    "in-a-variable": Posted(
        SHELL,
        ("vllm",),
        'MODEL=/k2\nCMD="vllm serve $MODEL --tensor-parallel-size 8 --disable-log-requests"\n'
        "eval $CMD\n",
        ('CMD="vllm serve $MODEL --tensor-parallel-size 8"',),
    ),
    "systemd-python": Posted(
        UNIT,
        ("vllm",),
        "[Service]\nExecStart=-/opt/venv/bin/python3 -m vllm.entrypoints.openai.api_server "
        "--model ${MODEL} --disable-log-requests --tensor-parallel-size 8\n",
        ("ExecStart=-/opt/venv/bin/vllm serve ${MODEL} --tensor-parallel-size 8\n",),
    ),
    "compose-flow-list": Posted(
        COMPOSE,
        ("vllm",),
        "services:\n  k2:\n    image: vllm/vllm-openai\n    command: ['--model', '/k2', "
        "'--disable-log-requests', '--tensor-parallel-size=8', '--tool-call-parser', 'kimi_k2']\n",
        ("'--tool-call-parser', 'kimi_k2', '--enable-auto-tool-choice']",),
    ),
    "compose-text": Posted(
        COMPOSE,
        ("vllm",),
        "services:\n  k2:\n    image: docker.io/vllm/vllm-openai:v0.12.0\n    command: >\n"
        "      --model ${MODEL:-moonshotai/Kimi-K2-Instruct}\n      --tensor-parallel-size 8\n"
        "      --guided-decoding-backend xgrammar\n    restart: always\n",
        ("      --structured-outputs-config.backend xgrammar\n    restart",),
    ),
    "deployment": Posted(
        MANIFEST,
        ("vllm",),
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: k2}\nspec:\n  template:\n"
        "    spec:\n      containers:\n        - name: vllm\n"
        "          image: vllm/vllm-openai:v0.17.1\n          command: [vllm, serve]\n"
        "          args:\n            - moonshotai/Kimi-K2-Instruct\n"
        "            - --tensor-parallel-size=8\n            - --guided-decoding-backend=outlines\n"
        "          env:\n            - name: VLLM_LOGGING_LEVEL\n              value: INFO\n",
        ("            - --structured-outputs-config.backend\n            - outlines\n",),
    ),
}
