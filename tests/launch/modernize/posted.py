"""Thirty commands in the forms in which people post them. The text is ours; where a public thread
shows the same attempt, it is named.

Each entry: the form that the text is, the engines whose commands it holds, and what the modern text
holds (or, after "not ", no more holds).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Posted:
    """A text, what it is, and what becomes of it."""

    form: str
    engines: tuple[str, ...]
    text: str
    then: tuple[str, ...] = ()
    version: str = ""


SHELL, UNIT, COMPOSE = "shell script", "systemd unit", "Compose file"
MANIFEST, CONFIG, PAGE = "Kubernetes manifest", "config file", "Markdown page"

POSTED = {
    # MoonshotAI/Kimi-K2#122: eight H20, no automatic tool choice
    "h20-without-auto-choice": Posted(
        SHELL,
        ("vllm",),
        "CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7 vllm serve /models/kimi-k2.5 -tp 8 "
        "--mm-encoder-tp-mode data --trust-remote-code --tool-call-parser kimi_k2 "
        "--reasoning-parser kimi_k2\n",
        ("--reasoning-parser kimi_k2 --enable-auto-tool-choice\n",),
    ),
    # vllm-project/recipes#62: two nodes by Ray, which vLLM took by itself
    "recipe-tp-pp": Posted(
        SHELL,
        ("vllm",),
        "# ray on both nodes\nvllm serve moonshotai/Kimi-K2-Instruct --trust-remote-code \\\n"
        "  --tensor-parallel-size 8 --pipeline-parallel-size 2 --dtype bfloat16 \\\n"
        "  --max-num-seqs 1 --disable-log-requests --kv-cache-dtype fp8 -dcp 8\n",
        ("--distributed-executor-backend ray", "not --disable-log-requests", "-dcp 8"),
    ),
    # vllm-project/recipes#153: AMD, variables of the V0 engine
    "amd-variables": Posted(
        SHELL,
        ("vllm",),
        "export VLLM_USE_V1=1\nVLLM_USE_TRITON_FLASH_ATTN=0 \\\nvllm serve "
        "moonshotai/Kimi-K2-Instruct -tp 8 --no-enable-prefix-caching --trust-remote-code\n",
        ("--disable-prefix-caching",),
    ),
    # vllm-project/recipes#395: a verified run on two nodes with H100
    "recipe-h100-nodes": Posted(
        SHELL,
        ("vllm",),
        "uv run --with vllm vllm serve moonshotai/Kimi-K2.5 --served-model-name Kimi-K2.5 "
        "--distributed-executor-backend mp --tensor-parallel-size 8 --pipeline-parallel-size 2 "
        "--nnodes 2 --node-rank 0 --master-addr 10.1.0.1 --max-model-len 262144 "
        "--enable-auto-tool-choice --tool-call-parser kimi_k2\n",
        ("uv run --with vllm vllm serve",),
    ),
    "api-server-with-uv": Posted(
        SHELL,
        ("vllm",),
        "uv run python -m vllm.entrypoints.openai.api_server --model moonshotai/Kimi-K2-Thinking "
        "--tensor-parallel-size=8 --swap-space 16\n",
        ("uv run vllm serve moonshotai/Kimi-K2-Thinking --tensor-parallel-size=8\n",),
    ),
    "docker-latest": Posted(
        SHELL,
        ("vllm",),
        "docker run --gpus all --ipc=host -p 8000:8000 \\\n  -v ~/.cache/huggingface:/root/.cache"
        "/huggingface \\\n  -e VLLM_ATTENTION_BACKEND=FLASHMLA vllm/vllm-openai:latest \\\n"
        "  --model moonshotai/Kimi-K2-Instruct --tensor_parallel_size 16 --swap-space 4\n",
        ("--distributed-executor-backend ray", "not --swap-space"),
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
    "docker-sglang": Posted(
        SHELL,
        ("sglang",),
        "docker run --gpus all --shm-size 32g --network host lmsysorg/sglang:v0.5.10 \\\n"
        "  python3 -m sglang.launch_server --model-path moonshotai/Kimi-K2-Thinking --tp 8 "
        "--trust-remote-code --tool-call-parser kimi_k2 --reasoning-parser kimi_k2 --port 8000\n",
        ("sglang:v0.5.10", "--tp-size 8"),
    ),
    "sglang-serve": Posted(
        SHELL,
        ("sglang",),
        "SGL_ENABLE_JIT_DEEPGEMM=1 sglang serve --model-path moonshotai/Kimi-K2.5 --tp 8 "
        "--dp-size 8 --enable-dp-attention --tool-call-parser kimi_k2 --trust-remote-code\n",
        ("SGLANG_ENABLE_JIT_DEEPGEMM=1 sglang serve", "--attn-dp-size 8"),
    ),
    "sglang-deepep": Posted(
        SHELL,
        ("sglang",),
        "nohup python3 -m sglang.launch_server --model-path /data/Kimi-K2-Instruct --tp 16 "
        "--dist-init-addr 10.0.0.1:5000 --nnodes 2 --node-rank 0 --enable-deepep-moe "
        "--trust-remote-code > server.log 2>&1 &\n",
        ("--moe-a2a-backend deepep", "> server.log 2>&1 &"),
    ),
    "kt-server": Posted(
        SHELL,
        ("ktransformers",),
        "python3 -m sglang.launch_server --host 0.0.0.0 --port 31245 --model /models/K2-Thinking "
        "--kt-weight-path /models/K2-Thinking --kt-method RAWINT4 --kt-cpuinfer 96 "
        "--kt-threadpool-count 2 --kt-num-gpu-experts 8 --kt-gpu-prefill-token-threshold 400 "
        "--kt-max-deferred-experts-per-token 1 --mem-fraction-static 0.94 --trust-remote-code\n",
        ("--kt-gpu-prefill-token-threshold 400",),
    ),
    "kt-serve": Posted(
        SHELL,
        ("ktransformers",),
        "sglang serve --model-path /models/Kimi-K2.5 --kt-method RAWINT4 --kt-weight-path "
        "/models/Kimi-K2.5 --kt-num-gpu-experts 30 --tensor-parallel-size 4 --attention-backend "
        "flashinfer\n",
        ("sglang serve",),
    ),
    "kt-old-server": Posted(
        SHELL,
        ("ktransformers",),
        "numactl -N 1 -m 1 python ktransformers/server/main.py --model_path /k2 --gguf_path /k2 "
        "--cpu_infer 65 --cache_lens 32768 --chunk_size 256 --max_batch_size 4\n",
        ("numactl -N 1 -m 1 python -m sglang.launch_server", "--kt-cpuinfer 65"),
    ),
    "trtllm": Posted(
        SHELL,
        ("trtllm",),
        "trtllm-serve nvidia/Kimi-K2-Thinking-NVFP4 --backend pytorch --tp_size 8 --ep_size 8 "
        "--max_batch_size 128 --trust_remote_code --extra_llm_api_options extra.yml\n",
        ("not --backend",),
    ),
    "dynamo": Posted(
        SHELL,
        ("vllm",),
        "python3 -m dynamo.vllm --model moonshotai/Kimi-K2-Instruct --tensor-parallel-size 8 "
        "--disaggregation-mode prefill --swap-space 4 --enable-expert-parallel\n",
        ("--disaggregation-mode prefill --enable-expert-parallel", "not --swap-space"),
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
    "systemd": Posted(
        UNIT,
        ("vllm",),
        "[Unit]\nDescription=Kimi-K2\nAfter=network.target\n\n[Service]\nUser=llm\n"
        'Environment="VLLM_USE_V1=1" HF_HOME=/data/hf\n'
        "ExecStart=/opt/vllm/bin/vllm serve /data/Kimi-K2-Instruct \\\n"
        "    --tensor-parallel-size 16 \\\n    --swap-space 8 \\\n    --port 8000\nRestart=always\n"
        "\n[Install]\nWantedBy=multi-user.target\n",
        ("16 --distributed-executor-backend ray \\\n    --port 8000\nRestart=always",),
    ),
    "systemd-python": Posted(
        UNIT,
        ("vllm",),
        "[Service]\nExecStart=-/opt/venv/bin/python3 -m vllm.entrypoints.openai.api_server "
        "--model ${MODEL} --disable-log-requests --tensor-parallel-size 8\n",
        ("ExecStart=-/opt/venv/bin/vllm serve ${MODEL} --tensor-parallel-size 8\n",),
    ),
    "systemd-shell": Posted(
        UNIT,
        ("sglang",),
        "[Service]\nEnvironmentFile=/etc/k2\nExecStart=/bin/bash -lc 'exec python3 -m "
        "sglang.launch_server --model-path $MODEL --tp 8 --stream-output'\n",
        ("--tp-size 8 --incremental-streaming-output'\n",),
    ),
    "compose-list": Posted(
        COMPOSE,
        ("vllm",),
        "services:\n  k2:\n    image: vllm/vllm-openai:latest\n    environment:\n"
        "      - VLLM_USE_V1=1\n    command:\n      - --model\n      - moonshotai/Kimi-K2\n"
        '      - --swap-space  # GiB\n      - "4"\n      - --tensor-parallel-size\n      - "16"\n'
        "    ports: [8000:8000]\n",
        (
            "      - --distributed-executor-backend\n      - ray\n    ports",
            "not --swap-space",
            "# GiB",
        ),
    ),
    "compose-flow-list": Posted(
        COMPOSE,
        ("vllm",),
        "services:\n  k2:\n    image: vllm/vllm-openai\n    command: ['--model', '/k2', "
        "'--disable-log-requests', '--tensor-parallel-size=8', '--tool-call-parser', 'kimi_k2']\n",
        ("'--tool-call-parser', 'kimi_k2', --enable-auto-tool-choice]",),
    ),
    "compose-text": Posted(
        COMPOSE,
        ("vllm",),
        "services:\n  k2:\n    image: docker.io/vllm/vllm-openai:v0.12.0\n    command: >\n"
        "      --model ${MODEL:-moonshotai/Kimi-K2-Instruct}\n      --tensor-parallel-size 8\n"
        "      --guided-decoding-backend xgrammar\n    restart: always\n",
        ("      --structured-outputs-config.backend xgrammar\n    restart",),
    ),
    "compose-sglang": Posted(
        COMPOSE,
        ("sglang",),
        "services:\n  k2:\n    image: lmsysorg/sglang:latest\n    entrypoint: python3 -m "
        "sglang.launch_server\n    command: --model-path /k2 --tp 8 --cuda-graph-bs 8 16\n",
        ("--tp-size 8 --cuda-graph-bs-decode 8 16\n",),
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
    "deployment-script": Posted(
        MANIFEST,
        ("vllm",),
        "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: vllm/vllm-openai\n"
        '    command: ["/bin/sh", "-c"]\n    args:\n    - |\n      ulimit -l unlimited\n'
        "      vllm serve /models/k2 \\\n        --tensor-parallel-size 8 \\\n"
        "        --disable-log-requests \\\n        --port 8000\n    ports: []\n",
        ("8 \\\n        --port 8000\n    ports",),
    ),
    "lws": Posted(
        MANIFEST,
        ("sglang", "sglang"),
        "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\nmetadata:\n  name: k2\n"
        "spec:\n  leaderWorkerTemplate:\n    size: 2\n"
        + "".join(
            f"    {role}Template:\n      spec:\n        containers:\n"
            f"          - image: lmsysorg/sglang:latest\n            command:\n"
            f"              - python3\n              - -m\n              - sglang.launch_server\n"
            f"              - --model-path\n              - /models/Kimi-K2\n              - --tp\n"
            f'              - "16"\n              - --dist-init-addr\n'
            f"              - $(LWS_LEADER_ADDRESS):20000\n              - --nnodes\n"
            f"              - $(LWS_GROUP_SIZE)\n              - --node-rank\n"
            f"              - $(LWS_WORKER_INDEX)\n              - --enable-deepep-moe\n"
            for role in ("leader", "worker")
        ),
        (
            "              - --tp-size\n",
            "              - --moe-a2a-backend\n              - deepep\n",
        ),
    ),
    "config": Posted(
        CONFIG,
        ("vllm",),
        "# vllm serve --config k2.yaml\nmodel: moonshotai/Kimi-K2-Instruct\n"
        "tensor-parallel-size: 16  # two nodes\nswap-space: 4\nenforce-eager: false\n"
        "tool-call-parser: kimi_k2\nport: 8000\n",
        (
            "tensor-parallel-size: 16\ndistributed-executor-backend: ray\n# two nodes\n",
            "not swap-space",
            "port: 8000\nenable-auto-tool-choice: true\n",
        ),
    ),
    "page": Posted(
        PAGE,
        ("vllm", "sglang", "vllm"),
        "# Kimi-K2\n\nStart it with vLLM:\n\n```console\n$ vllm serve /k2 -tp 8 --swap-space 4\n"
        "INFO: started\n```\n\nor with SGLang:\n\n1. On node 0:\n\n   ```bash\n"
        "   python -m sglang.launch_server --model-path /k2 --tp 8\n   ```\n\n~~~yaml\nservices:\n"
        "  k2:\n    image: vllm/vllm-openai\n"
        "    command: --model /k2 --disable-log-requests\n~~~\n",
        (
            "$ vllm serve /k2 -tp 8\n",
            "   python -m sglang.launch_server --model-path /k2 --tp-size 8\n",
            "command: --model /k2\n~~~",
        ),
    ),
}
