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
    "sglang-serve": Posted(
        SHELL,
        ("sglang",),
        "sglang serve \\\n  --model-path moonshotai/Kimi-K2-Instruct \\\n  --tp 16 \\\n"
        "  --dp-size 2 \\\n  --enable-dp-attention \\\n  --dist-init-addr $MASTER_IP:50000 \\\n"
        "  --nnodes 2 \\\n  --node-rank 1 \\\n  --ep 16 \\\n  --enable-dp-lm-head \\\n"
        "  --moe-a2a-backend deepep \\\n  --moe-runner-backend deep_gemm \\\n"
        "  --moe-dense-tp-size 1 \\\n  --deepep-mode auto\n",
        ("sglang serve", "--tp-size 16", "--attn-dp-size 2"),
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
        "python -m sglang.launch_server \\\n  --model-path /models/Kimi-K2.6 \\\n"
        "  --tensor-parallel-size 4 \\\n  --mem-fraction-static 0.94 \\\n"
        "  --kt-weight-path /models/Kimi-K2.6 \\\n  --kt-cpuinfer 120 \\\n"
        "  --kt-threadpool-count 2 \\\n  --kt-num-gpu-experts 30 \\\n"
        "  --kt-gpu-prefill-token-threshold 400 \\\n  --kt-method RAWINT4 \\\n"
        "  --attention-backend flashinfer \\\n  --chunked-prefill-size 32768 \\\n"
        "  --max-total-tokens 65536 \\\n  --tool-call-parser kimi_k2\n",
        ("--kt-num-gpu-experts 30",),
        thread="kvcache-ai/ktransformers#2076",
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
    "compose-sglang": Posted(
        COMPOSE,
        ("sglang",),
        "services:\n  k2:\n    image: lmsysorg/sglang:latest\n    entrypoint: python3 -m "
        "sglang.launch_server\n    command: --model-path /k2 --tp 8 --cuda-graph-bs 8 16\n",
        ("--tp-size 8 --cuda-graph-bs-decode 8 16\n",),
        thread="sgl-project/sglang#1006",
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
    "docker-draft": Posted(
        SHELL,
        ("vllm",),
        "docker run --rm --gpus all -p 8000:8000 -v /ssd:/models \\\n"
        "  -e VLLM_USE_V1=1 vllm/vllm-openai:v0.19.1 /models/Kimi-K2.5 \\\n"
        "  --tensor-parallel-size 8 --enable-expert-parallel --kv-cache-dtype fp8 \\\n"
        "  --speculative-config "
        '\'{"model": "/models/draft", "method": "eagle3", "num_speculative_tokens": 3}\' \\\n'
        "  --gpu-memory-utilization 0.95 --max-num-batched-tokens 16384 --max-num-seqs 25 \\\n"
        "  --enable-chunked-prefill --host 0.0.0.0 --trust-remote-code "
        "--disable-hybrid-kv-cache-manager\n",
        ("vllm-openai:v0.19.1 /models/Kimi-K2.5", "--speculative-config"),
        thread="vllm-project/vllm#40259",
    ),
    "docker-nvfp4": Posted(
        SHELL,
        ("vllm",),
        "docker run --gpus all --privileged --ipc=host -p 8000:8000 \\\n"
        "  -e VLLM_USE_FLASHINFER_MOE_FP4=1 vllm/vllm-openai:latest nvidia/Kimi-K2.6-NVFP4 \\\n"
        "  --trust-remote-code --kv-cache-dtype fp8 --enable-expert-parallel -tp 8 \\\n"
        "  --tool-call-parser kimi_k2 --reasoning-parser kimi_k2 --enable-auto-tool-choice \\\n"
        "  --language-model-only\n",
        ("-e VLLM_USE_FLASHINFER_MOE_FP4=1", "-tp 8"),
        thread="NVIDIA/Model-Optimizer#1308",
    ),
    "blackwell-image": Posted(
        SHELL,
        ("sglang",),
        "docker run --gpus all --shm-size 64g --network host lmsysorg/sglang:blackwell \\\n"
        "  python -m sglang.launch_server --model-path moonshotai/Kimi-K2-Instruct --tp 8 "
        "--trust-remote-code --tool-call-parser kimi_k2 --host 0.0.0.0 "
        "--attention-backend triton\n",
        ("sglang:blackwell", "--tp-size 8"),
        thread="sgl-project/sglang#8120",
    ),
    "kt-old-server": Posted(
        SHELL,
        ("ktransformers",),
        "python ktransformers/server/main.py \\\n  --port 10002 \\\n"
        "  --model_path /k2-0905 \\\n  --gguf_path /k2-0905-gguf \\\n"
        "  --cache_lens 32768 \\\n  --chunk_size 256 \\\n"
        "  --max_batch_size 4 \\\n  --backend_type balance_serve\n",
        ("python -m sglang.launch_server", "--kt-weight-path /k2-0905-gguf", "not --cache_lens"),
        thread="kvcache-ai/ktransformers#1492",
    ),
    "kt-amx-old-names": Posted(
        SHELL,
        ("ktransformers",),
        "python -m sglang.launch_server --host 0.0.0.0 --port 60000 --model /k2/Kimi-K2-Thinking "
        "--kt-amx-weight-path /k2/Kimi-K2-CPU --kt-cpuinfer 56 --kt-threadpool-count 2 "
        "--kt-num-gpu-experts 200 --kt-amx-method AMXINT4 --attention-backend triton "
        "--trust-remote-code --mem-fraction-static 0.98 --chunked-prefill-size 4096 "
        "--max-running-requests 37 --max-total-tokens 37000 --enable-mixed-chunk "
        "--tensor-parallel-size 8\n",
        ("--kt-weight-path /k2/Kimi-K2-CPU", "--kt-method AMXINT4", "not --kt-amx"),
        thread="kvcache-ai/ktransformers#1562",
    ),
    "kt-second-question": Posted(
        SHELL,
        ("ktransformers",),
        "python -m sglang.launch_server \\\n  --port 10002 \\\n  --model /ai/Kimi-K2-Thinking \\\n"
        "  --kt-weight-path /ai/Kimi-K2-Thinking \\\n  --kt-cpuinfer 52 \\\n"
        "  --kt-threadpool-count 2 \\\n  --kt-num-gpu-experts 0 \\\n  --kt-method RAWINT4 \\\n"
        "  --kt-gpu-prefill-token-threshold 400 \\\n  --enable-mixed-chunk \\\n"
        "  --enable-p2p-check \\\n  --disable-shared-experts-fusion \\\n"
        "  --trust-remote-code\n",
        ("--kt-num-gpu-experts 0 \\\n  --kt-method RAWINT4",),
        thread="kvcache-ai/ktransformers#1781",
    ),
    "trtllm-nvfp4": Posted(
        SHELL,
        ("trtllm",),
        "trtllm-serve nvidia/Kimi-K2.6-NVFP4 --host 0.0.0.0 --port 8000 --backend pytorch \\\n"
        "  --max_batch_size 32 --max_num_tokens 8192 --max_seq_len 8192 --tp_size 4 \\\n"
        "  --extra_llm_api_options /tmp/draft.yml --trust_remote_code\n",
        ("not --backend", "--tp_size 4"),
        thread="NVIDIA/TensorRT-LLM#15182",
    ),
    "trtllm-guided": Posted(
        SHELL,
        ("trtllm",),
        "trtllm-serve nvidia/Kimi-K2.6-NVFP4 --tp_size=4 --backend=pytorch --host=0.0.0.0 "
        "--port=8000 --ep_size=4 --max_num_tokens=16384 --max_seq_len=262144 "
        "--enable_chunked_prefill --trust_remote_code --max_batch_size=64 "
        "--extra_llm_api_options guided.yaml\n",
        ("not --backend", "--enable_chunked_prefill"),
        thread="NVIDIA/TensorRT-LLM#15179",
    ),
    "two-nodes-h100": Posted(
        SHELL,
        ("sglang", "sglang"),
        "# node 0\npython3 -m sglang.launch_server --model-path moonshotai/Kimi-K2-Instruct-0905 "
        "--trust-remote-code --disable-radix-cache --decode-log-interval 1 --cuda-graph-bs 2 "
        "--tp 16 --dist-init-addr 10.1.0.1:5000 --nnodes 2 --node-rank 0\n"
        "# node 1\npython3 -m sglang.launch_server --model-path moonshotai/Kimi-K2-Instruct-0905 "
        "--trust-remote-code --disable-radix-cache --decode-log-interval 1 --cuda-graph-bs 2 "
        "--tp 16 --dist-init-addr 10.1.0.1:5000 --nnodes 2 --node-rank 1\n",
        ("--cuda-graph-bs-decode 2 --tp-size 16", "# node 1\n"),
        thread="sgl-project/sglang#12289",
    ),
    "address-from-a-command": Posted(
        SHELL,
        ("sglang",),
        "export SGLANG_HEALTH_CHECK_TIMEOUT=60\npython3 -m sglang.launch_server \\\n"
        "  --model-path moonshotai/Kimi-K2.6 --kv-cache-dtype fp8_e4m3 \\\n"
        "  --host $(hostname -I | awk '{print $1}') --port 30000 --page-size 64 \\\n"
        "  --dist-init-addr $HEAD:5001 --nnodes 2 --node-rank ${NODE_RANK} --tp 16 \\\n"
        "  --enable-dp-attention --dp-size 16 --moe-dense-tp-size 1 --enable-dp-lm-head \\\n"
        "  --disaggregation-mode decode --trust-remote-code\n",
        ("$(hostname -I | awk '{print $1}')", "--attn-dp-size 16"),
        thread="HYGON-AI/inference-cookbook-das#258",
    ),
    "decode-context": Posted(
        SHELL,
        ("vllm",),
        "vllm serve Kimi-K2-Thinking \\\n  --served-model-name llm_model \\\n"
        "  --tensor-parallel-size 8 \\\n  --decode-context-parallel-size 8 \\\n"
        "  --tool-call-parser kimi_k2 \\\n  --reasoning-parser kimi_k2 \\\n"
        "  --gpu-memory-utilization 0.90 --max-model-len 262144 --port 9999\n",
        ("--enable-auto-tool-choice", "--decode-context-parallel-size 8 \\\n"),
        thread="vllm-project/vllm#30238",
    ),
    "compilation-by-parts": Posted(
        SHELL,
        ("vllm",),
        "vllm serve moonshotai/Kimi-K2.5 \\\n"
        "  --tensor-parallel-size 8 --max-model-len 10240 --max-num-seqs 16 \\\n"
        "  --gpu-memory-utilization 0.95 --swap-space 4 \\\n"
        "  --reasoning-parser kimi_k2 --tool-call-parser kimi_k2 --enable-auto-tool-choice \\\n"
        "  --compilation_config.pass_config.fuse_allreduce_rms true \\\n"
        "  --trust-remote-code --no-enable-prefix-caching\n",
        ("--compilation_config.pass_config.fuse_allreduce_rms true", "not --swap-space"),
        thread="vllm-project/vllm#49200",
    ),
    "ray-over-four-nodes": Posted(
        SHELL,
        ("vllm",),
        "vllm serve /models/Kimi-K2-Thinking --served-model-name kimi-k2-thinking "
        "--distributed-executor-backend ray --tensor-parallel-size 16 --pipeline-parallel-size 4 "
        "--trust-remote-code --tool-call-parser kimi_k2 --reasoning-parser kimi_k2 "
        "--enable-auto-tool-choice --no-enable-prefix-caching\n",
        ("--distributed-executor-backend ray",),
        thread="vllm-project/vllm-ascend#5724",
    ),
    "amd-sglang": Posted(
        SHELL,
        ("sglang",),
        "export SGLANG_USE_AITER=1\nTORCHINDUCTOR_COMPILE_THREADS=128 \\\n"
        "python3 -m sglang.launch_server \\\n    --model-path amd/Kimi-K2.6-MXFP4 \\\n"
        "    --host localhost \\\n    --port 8000 \\\n    --trust-remote-code \\\n"
        "    --tensor-parallel-size 8 \\\n    --attention-backend aiter \\\n"
        "    --kv-cache-dtype fp8_e4m3 \\\n    --mem-fraction-static 0.8 \\\n"
        "    --page-size 1 \\\n    --disable-radix-cache\n",
        ("    --tensor-parallel-size 8 \\\n",),
        thread="ROCm/ATOM#1078",
    ),
    "arguments-behind-the-script": Posted(
        MANIFEST,
        ("vllm",),
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: kimi}\nspec:\n  template:\n"
        "    spec:\n      containers:\n        - name: engine\n"
        "          image: docker.io/vllm/vllm-openai:v0.21.0\n"
        "          command:\n            - /bin/bash\n            - '-c'\n            - |\n"
        "              exec vllm serve \"$@\"\n            - '--'\n          args:\n"
        "            - /mnt/Kimi-K2.6\n            - '--swap-space'\n            - '4'\n"
        "            - '--mm-encoder-tp-mode'\n            - data\n"
        "            - '--served-model-name'\n            - Kimi-K2.6-nvfp4\n"
        "            - kimi-k26\n            - '--tensor-parallel-size'\n            - '4'\n"
        "            - '--enable-auto-tool-choice'\n            - '--tool-call-parser'\n"
        "            - kimi_k2\n",
        ('exec vllm serve "$@"\n', "/mnt/Kimi-K2.6\n            - '--mm-encoder-tp-mode'"),
        thread="vllm-project/vllm#42426",
    ),
    "deployment-words": Posted(
        MANIFEST,
        ("vllm",),
        "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - name: k26\n"
        "      image: vllm/vllm-openai:v0.23.0\n      command:\n"
        "      - vllm\n      - serve\n      - /llm/Kimi-K2.6-NVFP4\n"
        "      - --enable-expert-parallel\n      - --speculative-config\n"
        '      - \'{"model":"/llm/draft","method":"eagle3","num_speculative_tokens":3}\'\n'
        "      - --mm-encoder-tp-mode\n      - data\n"
        "      - -ac.mla_prefill_backend=TRTLLM_RAGGED\n"
        "      - --tensor-parallel-size\n      - '8'\n      - --enforce-eager\n"
        "      - --trust-remote-code\n      - --tool-call-parser\n      - kimi_k2\n",
        ("      - --enable-auto-tool-choice\n", "-ac.mla_prefill_backend=TRTLLM_RAGGED"),
        thread="vllm-project/vllm#45647",
    ),
    "amd-deployment": Posted(
        MANIFEST,
        ("vllm",),
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: kimi-k2}\nspec:\n  template:\n"
        "    spec:\n      containers:\n        - name: vllm-leader\n"
        "          image: rocm/vllm-dev:nightly_main_20251119\n"
        '          command: ["/bin/sh", "-c"]\n          args:\n            - |\n'
        "              python3 -m vllm.entrypoints.openai.api_server \\\n"
        "                --port 8080 \\\n                --served-model-name kimi-k2 \\\n"
        "                --model /models/moonshotai/Kimi-K2-Thinking \\\n"
        "                --trust-remote-code \\\n                --enable-auto-tool-choice \\\n"
        "                --tool-call-parser kimi_k2 \\\n"
        "                --max-model-len 100K \\\n                --disable-log-requests \\\n"
        "                --tensor-parallel-size 4 \\\n                --enforce-eager\n",
        ("                /models/moonshotai/Kimi-K2-Thinking", "not --disable-log-requests"),
        thread="vllm-project/vllm#28923",
    ),
    "compose-folded": Posted(
        COMPOSE,
        ("vllm",),
        "services:\n  kimi_k25_int4:\n    image: vllm/vllm-openai:nightly\n"
        "    container_name: kimi-k25\n    ipc: host\n    ports:\n      - 40000:8000\n"
        "    environment:\n      - LD_LIBRARY_PATH=/usr/local/cuda/lib64\n"
        "    command: >\n      --model /models/Kimi-K2.5\n      --served-model-name kimi\n"
        "      --tensor-parallel-size 8\n      --swap-space 4\n      --trust-remote-code\n"
        "      --tool-call-parser kimi_k2\n      --enable-auto-tool-choice\n",
        ("      --tensor-parallel-size 8\n      --trust-remote-code\n",),
        thread="MoonshotAI/Kimi-K2.5#23",
    ),
    "manifest-script": Posted(
        MANIFEST,
        ("vllm",),
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: kimi-k2\nspec:\n  template:\n"
        "    spec:\n      containers:\n        - name: vllm-leader\n"
        "          image: rocm/vllm-dev:nightly_main_20251119\n"
        '          command: ["/bin/sh", "-c"]\n          args:\n            - |\n'
        "              python3 -m vllm.entrypoints.openai.api_server \\\n"
        "                --port 8080 \\\n                --model /models/Kimi-K2-Thinking \\\n"
        "                --trust-remote-code \\\n                --enable-auto-tool-choice \\\n"
        "                --tool-call-parser kimi_k2 \\\n                --max-model-len 100K \\\n"
        "                --max-num-seqs 16 \\\n                --disable-log-requests \\\n"
        "                --tensor-parallel-size 4\n",
        ("--max-num-seqs 16 \\\n                --tensor-parallel-size 4\n",),
        thread="vllm-project/vllm#28923",
    ),
}
