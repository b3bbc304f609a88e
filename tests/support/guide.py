"""The commands of Kimi-K2's deployment guide, as it gave them in July 2025."""

VLLM_TP = """\
# start ray on node 0 and node 1

# node 0:
vllm serve $MODEL_PATH \\
  --port 8000 \\
  --served-model-name kimi-k2 \\
  --trust-remote-code \\
  --tensor-parallel-size 16 \\
  --enable-auto-tool-choice \\
  --tool-call-parser kimi_k2
"""

_VLLM_DP = (
    "--port 8000 --served-model-name kimi-k2 --trust-remote-code --data-parallel-size 16 "
    "--data-parallel-size-local 8 --data-parallel-address $MASTER_IP --data-parallel-rpc-port "
    "$PORT --enable-expert-parallel --max-num-batched-tokens 8192 --max-num-seqs 256 "
    "--gpu-memory-utilization 0.85 --enable-auto-tool-choice --tool-call-parser kimi_k2\n"
)
VLLM_DP = (
    f"# node 0\nvllm serve $MODEL_PATH {_VLLM_DP}\n"
    f"# node 1\nvllm serve $MODEL_PATH --headless --data-parallel-start-rank 8 {_VLLM_DP}"
)

SGLANG_TP = "".join(
    f"# Node {rank}\npython -m sglang.launch_server --model-path $MODEL_PATH --tp 16 "
    f"--dist-init-addr $MASTER_IP:50000 --nnodes 2 --node-rank {rank} --trust-remote-code "
    "--tool-call-parser kimi_k2\n\n"
    for rank in (0, 1)
)

_TIMEOUTS = (
    "MC_TE_METRIC=true SGLANG_DISAGGREGATION_HEARTBEAT_INTERVAL=10000000 "
    "SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT=100000 SGLANG_DISAGGREGATION_WAITING_TIMEOUT=100000 "
    "PYTHONUNBUFFERED=1"
)
SGLANG_PD = f"""\
# for prefill node
{_TIMEOUTS} \\
python -m sglang.launch_server --model-path $MODEL_PATH \\
--trust-remote-code --disaggregation-mode prefill --dist-init-addr $PREFILL_NODE0$:5757 \
--tp-size 32 --dp-size 32 --enable-dp-attention --host $LOCAL_IP --decode-log-interval 1 \
--disable-radix-cache --enable-deepep-moe --moe-dense-tp-size 1 --enable-dp-lm-head \
--disable-shared-experts-fusion --watchdog-timeout 1000000 --enable-two-batch-overlap \
--disaggregation-ib-device $IB_DEVICE --chunked-prefill-size 131072 --mem-fraction-static 0.85 \
--deepep-mode normal --ep-dispatch-algorithm dynamic --eplb-algorithm deepseek \
--max-running-requests 1024 --nnodes 4 --node-rank $RANK --tool-call-parser kimi_k2


# for decode node
SGLANG_DEEPEP_NUM_MAX_DISPATCH_TOKENS_PER_RANK=480 {_TIMEOUTS} \\
python -m sglang.launch_server --model-path $MODEL_PATH --trust-remote-code \
--disaggregation-mode decode --dist-init-addr $DECODE_NODE0:5757 --tp-size 96 --dp-size 96 \
--enable-dp-attention --host $LOCAL_IP --decode-log-interval 1 --context-length 2176 \
--disable-radix-cache --enable-deepep-moe --moe-dense-tp-size 1 --enable-dp-lm-head \
--disable-shared-experts-fusion --watchdog-timeout 1000000 --enable-two-batch-overlap \
--disaggregation-ib-device $IB_DEVICE  --deepep-mode low_latency --mem-fraction-static 0.8 \
--cuda-graph-bs 480 --max-running-requests 46080 --ep-num-redundant-experts 96 --nnodes 12 \
--node-rank $RANK --tool-call-parser kimi_k2

# pdlb
PYTHONUNBUFFERED=1 python -m sglang.srt.disaggregation.launch_lb \
--prefill http://${{PREFILL_NODE0}}:30000 --decode http://${{DECODE_NODE0}}:30000
"""

KTRANSFORMERS = """\
python ktransformers/server/main.py  --model_path /path/to/K2 --gguf_path /path/to/K2 \
--cache_lens 30000
"""

KTRANSFORMERS_AMX = KTRANSFORMERS.rstrip("\n") + (
    " --optimize_config_path ktransformers/optimize/optimize_rules/"
    "DeepSeek-V3-Chat-fp8-linear-ggml-experts-serve-amx.yaml\n"
)

TRTLLM_INSTALL = "pip install blobfile\n"

TRTLLM_DOCKER = "# use host network\nIMAGE=<YOUR_IMAGE>\nNAME=test_2node_docker\n" + "".join(
    f"# {host}\ndocker run -it --name ${{NAME}}_{host} --ipc=host --gpus=all --network host "
    "--privileged --ulimit memlock=-1 --ulimit stack=67108864 -v ${PWD}:/workspace "
    "-v <YOUR_MODEL_DIR>:/models/DeepSeek-V3 -w /workspace ${IMAGE}\n"
    for host in ("host1", "host2")
)

TRTLLM_SSH = """\
apt-get update && apt-get install -y openssh-server

# modify /etc/ssh/sshd_config
PermitRootLogin yes
PubkeyAuthentication yes
# modify /etc/ssh/sshd_config, change default port 22 to another unused port
port 2233

# modify /etc/ssh
"""

TRTLLM_KEYS = """\
# on host1
ssh-keygen -t ed25519 -f ~/.ssh/id_ed25519
ssh-copy-id -i ~/.ssh/id_ed25519.pub root@<HOST2>
# on host2
ssh-keygen -t ed25519 -f ~/.ssh/id_ed25519
ssh-copy-id -i ~/.ssh/id_ed25519.pub root@<HOST1>

# restart ssh service on host1 and host2
service ssh restart # or
/etc/init.d/ssh restart # or
systemctl restart ssh
"""

TRTLLM_YAML = """\
cuda_graph_config:
  padding_enabled: true
  batch_sizes:
    - 1
    - 2
    - 4
    - 8
    - 16
    - 32
    - 64
    - 128
print_iter_log: true
enable_attention_dp: true
"""
TRTLLM_SETTINGS = (
    "cat >/path/to/TensorRT-LLM/extra-llm-api-config.yml <<EOF\n" + TRTLLM_YAML + "EOF\n"
)

TRTLLM_SERVE = """\
mpirun -np 16 \\
-H <HOST1>:8,<HOST2>:8 \\
-mca plm_rsh_args "-p 2233" \\
--allow-run-as-root \\
trtllm-llmapi-launch trtllm-serve serve \\
--backend pytorch \\
--tp_size 16 \\
--ep_size 8 \\
--kv_cache_free_gpu_memory_fraction 0.95 \\
--trust_remote_code \\
--max_batch_size 128 \\
--max_num_tokens 4096 \\
--extra_llm_api_options /path/to/TensorRT-LLM/extra-llm-api-config.yml \\
--port 8000 \\
<YOUR_MODEL_DIR>
"""

ENGINE_COMMANDS = {
    "vllm-tp": VLLM_TP,
    "vllm-dp": VLLM_DP,
    "sglang-tp": SGLANG_TP,
    "sglang-pd": SGLANG_PD,
    "ktransformers": KTRANSFORMERS,
    "ktransformers-amx": KTRANSFORMERS_AMX,
    "trtllm-serve": TRTLLM_SERVE,
}
OTHER_COMMANDS = {
    "trtllm-install": TRTLLM_INSTALL,
    "trtllm-docker": TRTLLM_DOCKER,
    "trtllm-ssh": TRTLLM_SSH,
    "trtllm-keys": TRTLLM_KEYS,
}
WHOLE = "\n".join([*ENGINE_COMMANDS.values(), *OTHER_COMMANDS.values(), TRTLLM_SETTINGS])
