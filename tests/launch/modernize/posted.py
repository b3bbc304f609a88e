"""Commands in the forms in which people post them. The text is ours.

Each entry of POSTED names the public thread whose form and flags it has. With `shows = "form"` the
thread is about another model, or was not seen to be about Kimi-K2: the form, the program and a part
of the flags are the thread's, the rest is ours. `composed.py` has forms for which no thread was at
hand.

Each entry: the form that the text is, the engines whose commands it holds, and what the modern text
holds (or, after "not ", no more holds).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Posted:
    """A text, what it is, and what becomes of it.

    `thread`: OWNER/REPOSITORY#NUMBER on GitHub; `shows`: "model" where it is about Kimi-K2, "form"
    where only the form of its command is meant.
    """

    form: str
    engines: tuple[str, ...]
    text: str
    then: tuple[str, ...] = ()
    version: str = ""
    thread: str = ""
    shows: Literal["model", "form"] = "model"


SHELL, UNIT, COMPOSE = "shell script", "systemd unit", "Compose file"
MANIFEST, CONFIG, PAGE = "Kubernetes manifest", "config file", "Markdown page"

POSTED = {
    "h20-without-auto-choice": Posted(
        SHELL,
        ("vllm",),
        "CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7 vllm serve /models/kimi-k2.5 -tp 8 "
        "--mm-encoder-tp-mode data --trust-remote-code --tool-call-parser kimi_k2 "
        "--reasoning-parser kimi_k2\n",
        ("--reasoning-parser kimi_k2 --enable-auto-tool-choice\n",),
        thread="MoonshotAI/Kimi-K2#122",
    ),
    "recipe-tp-pp": Posted(
        SHELL,
        ("vllm",),
        "# ray on both nodes\nvllm serve moonshotai/Kimi-K2-Instruct --trust-remote-code \\\n"
        "  --tensor-parallel-size 8 --pipeline-parallel-size 2 --dtype bfloat16 \\\n"
        "  --max-num-seqs 1 --disable-log-requests --kv-cache-dtype fp8 -dcp 8\n",
        ("--distributed-executor-backend ray", "not --disable-log-requests", "-dcp 8"),
        thread="vllm-project/recipes#62",
    ),
    "amd-variables": Posted(
        SHELL,
        ("vllm",),
        "export VLLM_USE_V1=1\nVLLM_USE_TRITON_FLASH_ATTN=0 \\\nvllm serve "
        "moonshotai/Kimi-K2-Instruct -tp 8 --no-enable-prefix-caching --trust-remote-code\n",
        ("--disable-prefix-caching",),
        thread="vllm-project/recipes#153",
    ),
    "recipe-h100-nodes": Posted(
        SHELL,
        ("vllm",),
        "uv run --with vllm vllm serve moonshotai/Kimi-K2.5 --served-model-name Kimi-K2.5 "
        "--distributed-executor-backend mp --tensor-parallel-size 8 --pipeline-parallel-size 2 "
        "--nnodes 2 --node-rank 0 --master-addr 10.1.0.1 --max-model-len 262144 "
        "--enable-auto-tool-choice --tool-call-parser kimi_k2\n",
        ("uv run --with vllm vllm serve",),
        thread="vllm-project/recipes#395",
    ),
    "docker-latest": Posted(
        SHELL,
        ("vllm",),
        "docker run --gpus all --ipc=host -p 8000:8000 \\\n  -v ~/.cache/huggingface:/root/.cache"
        "/huggingface \\\n  -e VLLM_ATTENTION_BACKEND=FLASHMLA vllm/vllm-openai:latest \\\n"
        "  --model moonshotai/Kimi-K2-Instruct --tensor_parallel_size 16 --swap-space 4\n",
        ("--distributed-executor-backend ray", "not --swap-space"),
        thread="vllm-project/recipes#698",
        shows="form",
    ),
    "docker-sglang": Posted(
        SHELL,
        ("sglang",),
        "docker run --gpus all --shm-size 32g --network host lmsysorg/sglang:v0.5.10 \\\n"
        "  python3 -m sglang.launch_server --model-path moonshotai/Kimi-K2-Thinking --tp 8 "
        "--trust-remote-code --tool-call-parser kimi_k2 --reasoning-parser kimi_k2 --port 8000\n",
        ("sglang:v0.5.10", "--tp-size 8"),
        thread="sgl-project/sglang#2707",
        shows="form",
    ),
    "sglang-serve": Posted(
        SHELL,
        ("sglang",),
        "SGL_ENABLE_JIT_DEEPGEMM=1 sglang serve --model-path moonshotai/Kimi-K2.5 --tp 8 "
        "--dp-size 8 --enable-dp-attention --tool-call-parser kimi_k2 --trust-remote-code\n",
        ("SGLANG_ENABLE_JIT_DEEPGEMM=1 sglang serve", "--attn-dp-size 8"),
        thread="sgl-project/sgl-cookbook#241",
    ),
    "sglang-deepep": Posted(
        SHELL,
        ("sglang",),
        "nohup python3 -m sglang.launch_server --model-path /data/Kimi-K2-Instruct --tp 16 "
        "--dist-init-addr 10.0.0.1:5000 --nnodes 2 --node-rank 0 --enable-deepep-moe "
        "--trust-remote-code > server.log 2>&1 &\n",
        ("--moe-a2a-backend deepep", "> server.log 2>&1 &"),
        thread="sgl-project/sglang#6017",
        shows="form",
    ),
    "kt-server": Posted(
        SHELL,
        ("ktransformers",),
        "python3 -m sglang.launch_server --host 0.0.0.0 --port 31245 --model /models/K2-Thinking "
        "--kt-weight-path /models/K2-Thinking --kt-method RAWINT4 --kt-cpuinfer 96 "
        "--kt-threadpool-count 2 --kt-num-gpu-experts 8 --kt-gpu-prefill-token-threshold 400 "
        "--kt-max-deferred-experts-per-token 1 --mem-fraction-static 0.94 --trust-remote-code\n",
        ("--kt-gpu-prefill-token-threshold 400",),
        thread="kvcache-ai/ktransformers#1981",
    ),
    "kt-serve": Posted(
        SHELL,
        ("ktransformers",),
        "sglang serve --model-path /models/Kimi-K2.5 --kt-method RAWINT4 --kt-weight-path "
        "/models/Kimi-K2.5 --kt-num-gpu-experts 30 --tensor-parallel-size 4 --attention-backend "
        "flashinfer\n",
        ("sglang serve",),
        thread="kvcache-ai/ktransformers#2076",
    ),
    "kt-old-server": Posted(
        SHELL,
        ("ktransformers",),
        "numactl -N 1 -m 1 python ktransformers/server/main.py --model_path /k2 --gguf_path /k2 "
        "--cpu_infer 65 --cache_lens 32768 --chunk_size 256 --max_batch_size 4\n",
        ("numactl -N 1 -m 1 python -m sglang.launch_server", "--kt-cpuinfer 65"),
        thread="maaaxinfinity/ktrun#9",
        shows="form",
    ),
    "trtllm": Posted(
        SHELL,
        ("trtllm",),
        "trtllm-serve nvidia/Kimi-K2-Thinking-NVFP4 --backend pytorch --tp_size 8 --ep_size 8 "
        "--max_batch_size 128 --trust_remote_code --extra_llm_api_options extra.yml\n",
        ("not --backend",),
        thread="NVIDIA/TensorRT-LLM#18920",
        shows="form",
    ),
    "dynamo": Posted(
        SHELL,
        ("vllm",),
        "python3 -m dynamo.vllm --model moonshotai/Kimi-K2-Instruct --tensor-parallel-size 8 "
        "--disaggregation-mode prefill --swap-space 4 --enable-expert-parallel\n",
        ("--disaggregation-mode prefill --enable-expert-parallel", "not --swap-space"),
        thread="ai-dynamo/dynamo#6483",
        shows="form",
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
        thread="vllm-project/vllm#27542",
        shows="form",
    ),
    "systemd-shell": Posted(
        UNIT,
        ("sglang",),
        "[Service]\nEnvironmentFile=/etc/k2\nExecStart=/bin/bash -lc 'exec python3 -m "
        "sglang.launch_server --model-path $MODEL --tp 8 --stream-output'\n",
        ("--tp-size 8 --incremental-streaming-output'\n",),
        thread="vllm-project/vllm#12474",
        shows="form",
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
        thread="vllm-project/vllm#20210",
        shows="form",
    ),
    "compose-sglang": Posted(
        COMPOSE,
        ("sglang",),
        "services:\n  k2:\n    image: lmsysorg/sglang:latest\n    entrypoint: python3 -m "
        "sglang.launch_server\n    command: --model-path /k2 --tp 8 --cuda-graph-bs 8 16\n",
        ("--tp-size 8 --cuda-graph-bs-decode 8 16\n",),
        thread="sgl-project/sglang#1006",
        shows="form",
    ),
    "deployment-script": Posted(
        MANIFEST,
        ("vllm",),
        "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: vllm/vllm-openai\n"
        '    command: ["/bin/sh", "-c"]\n    args:\n    - |\n      ulimit -l unlimited\n'
        "      vllm serve /models/k2 \\\n        --tensor-parallel-size 8 \\\n"
        "        --disable-log-requests \\\n        --port 8000\n    ports: []\n",
        ("8 \\\n        --port 8000\n    ports",),
        thread="vllm-project/vllm#28923",
        shows="form",
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
        thread="kubernetes-sigs/lws#377",
        shows="form",
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
        thread="vllm-project/vllm#8273",
        shows="form",
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
        thread="vllm-project/recipes#119",
        shows="form",
    ),
    "thinking-expert-parallel": Posted(
        SHELL,
        ("sglang",),
        "python3 -m sglang.launch_server --model-path moonshotai/Kimi-K2-Thinking --tp 8 --ep 4 "
        "--trust-remote-code --tool-call-parser kimi_k2 --reasoning-parser kimi_k2\n",
        ("--tp-size 8 --ep 4 --trust-remote-code",),
        thread="sgl-project/sglang#13725",
    ),
    "two-nodes-h20": Posted(
        SHELL,
        ("sglang", "sglang"),
        "export NCCL_SOCKET_IFNAME=eth0\nexport GLOO_SOCKET_IFNAME=eth0\n# first node\n"
        "python3 -m sglang.launch_server --model-path /data/Kimi-K2-Instruct --tp 16 "
        "--dist-init-addr 10.1.0.1:5000 --nnodes 2 --node-rank 0 --trust-remote-code\n"
        "# second node\npython3 -m sglang.launch_server --model-path /data/Kimi-K2-Instruct "
        "--tp 16 "
        "--dist-init-addr 10.1.0.1:5000 --nnodes 2 --node-rank 1 --trust-remote-code\n",
        ("--tp-size 16", "not --tp 16", "# second node\n"),
        thread="sgl-project/sglang#3398",
        shows="form",
    ),
    "interface-in-front": Posted(
        SHELL,
        ("sglang",),
        "# node 2\nGLOO_SOCKET_IFNAME=eth0 python -m sglang.launch_server --model-path "
        "moonshotai/Kimi-K2-Instruct --tp 16 --nccl-init 10.1.0.1:5000 --nnodes 2 --node-rank 1 "
        "--trust-remote-code\n",
        ("GLOO_SOCKET_IFNAME=eth0 python -m sglang.launch_server", "--tp-size 16"),
        thread="sgl-project/sglang#2650",
        shows="form",
    ),
    "kt-amx": Posted(
        SHELL,
        ("ktransformers",),
        "python3 -m sglang.launch_server --host 0.0.0.0 --port 8080 --model /data/Kimi-K2-Thinking "
        "--kt-weight-path /data/Kimi-K2-Thinking-CPU --kt-cpuinfer 88 --kt-threadpool-count 2 "
        "--kt-num-gpu-experts 1 --kt-method AMXINT4 --attention-backend flashinfer "
        "--trust-remote-code --mem-fraction-static 0.98 --chunked-prefill-size 2048 "
        "--max-running-requests 8 --enable-mixed-chunk --tensor-parallel-size 8\n",
        ("--kt-method AMXINT4",),
        thread="kvcache-ai/ktransformers#1666",
    ),
    "variables-in-front": Posted(
        SHELL,
        ("vllm",),
        "CUDA_VISIBLE_DEVICES=0,1 VLLM_USE_V1=1 VLLM_WORKER_MULTIPROC_METHOD=spawn vllm serve "
        "/models/K2-small --gpu-memory-utilization 0.9 --swap-space 16 --max-model-len 4096 "
        "--tensor-parallel-size 2 --port 8091 --disable-custom-all-reduce\n",
        ("not --swap-space", "--port 8091 --disable-custom-all-reduce\n"),
        thread="vllm-project/vllm#15469",
        shows="form",
    ),
    "nvfp4-without-auto-choice": Posted(
        SHELL,
        ("vllm",),
        "vllm serve nvidia/Kimi-K2.5-NVFP4 --host 0.0.0.0 --port 8888 \\\n"
        "    --tensor-parallel-size 8 \\\n    --gpu-memory-utilization 0.90 \\\n"
        "    --reasoning-parser kimi_k2 \\\n    --tool-call-parser kimi_k2 \\\n"
        "    --trust-remote-code\n",
        ("--enable-auto-tool-choice\n",),
        thread="vllm-project/recipes#326",
    ),
    "page-with-serve": Posted(
        PAGE,
        ("sglang",),
        "### Kimi-K2-Instruct\n\n```bash\nsglang serve \\\n"
        "    --model-path moonshotai/Kimi-K2-Instruct \\\n"
        "    --tp 8 \\\n    --trust-remote-code\n```\n",
        ("    --tp-size 8 \\\n",),
        thread="HYGON-AI/inference-cookbook-das#57",
    ),
    "deployment-shell-list": Posted(
        MANIFEST,
        ("vllm",),
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: k2\nspec:\n  template:\n"
        "    spec:\n      containers:\n      - name: k2\n        image: vllm/vllm-openai:latest\n"
        '        command: ["/bin/sh", "-c"]\n        args: [\n'
        '          "vllm serve moonshotai/Kimi-K2-Instruct --disable-log-requests -tp 8"\n'
        "        ]\n        ports:\n        - containerPort: 8000\n",
        ('"vllm serve moonshotai/Kimi-K2-Instruct -tp 8"',),
        thread="vllm-project/vllm#10826",
        shows="form",
    ),
    "deployment-pinned": Posted(
        MANIFEST,
        ("vllm",),
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: k2}\nspec:\n  template:\n"
        "    spec:\n      containers:\n      - name: vllm\n"
        "        image: vllm/vllm-openai:v0.10.0\n"
        "        command:\n        - python3\n        - -m\n"
        "        - vllm.entrypoints.openai.api_server\n        - --model\n"
        "        - /mnt/models/K2\n"
        "        - --swap-space\n        - '4'\n        - --tensor-parallel-size\n        - '8'\n",
        ("        - --swap-space\n        - '4'\n", "image: vllm/vllm-openai:v0.10.0\n"),
        thread="vllm-project/vllm#4462",
        shows="form",
    ),
    "stateful-set": Posted(
        MANIFEST,
        ("sglang",),
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: k2\nspec:\n  template:\n"
        "    spec:\n      containers:\n      - name: sglang\n"
        "        image: lmsysorg/sglang:latest\n"
        "        command:\n        - /bin/bash\n        - -c\n        args:\n        - |\n"
        "          export POD_INDEX=${HOSTNAME##*-}\n"
        "          python3 -m sglang.launch_server \\\n            --model-path /models/K2 \\\n"
        "            --dist-init-addr k2-0.k2:5100 \\\n            --tp 16 \\\n"
        "            --nnodes 2 \\\n            --node-rank $POD_INDEX \\\n"
        "            --trust-remote-code\n",
        (
            "            --tp-size 16 \\\n            --nnodes 2",
            "export POD_INDEX=${HOSTNAME##*-}\n",
        ),
        thread="sgl-project/sglang#10216",
        shows="form",
    ),
}
