"""The register of facts: the conditions of a launch that a profile may use in `when`.

A fact is a plain string in a profile and in the engines' `derive.py`. This register is the only
list of them: a profile with another fact is refused when it is read, with the fact's name.
"""

from collections.abc import Container
from typing import Final

FACTS: Final = {
    "amd": "the GPU is AMD's",
    "amx": "the user asked for the AMX units of the CPU",
    "bf16": "the weights are BF16",
    "decode": "the node is of the group that decodes",
    "deep_draft": "the draft has more than one layer",
    "deepseek": "the config is a real DeepSeek-V3's",
    "draft_folder": "the draft is a folder, which other processes must find, too",
    "eagle3": "an EAGLE3 draft proposes tokens",
    "executor=mp": "the user asked for the engine's own start of other nodes",
    "executor=ray": "the user, or the format, asked for Ray",
    "first_node": "the node is the first of its group",
    "fp8": "the weights are FP8",
    "ib_device": "the InfiniBand or RoCE devices of the node are known",
    "int4": "the routed experts are INT4",
    "interface": "the network interface of the node is known",
    "interfaces_differ": "the nodes have different interfaces",
    "mla_draft": "the draft's attention is MLA",
    "mtp": "the model's own layer for multi-token prediction proposes tokens",
    "mxfp4": "the routed experts are MXFP4",
    "nvfp4": "the routed experts are NVFP4",
    "nvidia": "the GPU is NVIDIA's",
    "sixteen_heads": "each GPU has a multiple of 16 attention heads",
    "multi_node": "a group has more than one node",
    "patched": "the model is a Kimi-K2 under the name deepseek_v3",
    "pipeline_stages": "the layers are divided among pipeline stages",
    "prefill": "the node is of the group that prefills",
    "reasoning": "the model thinks before it answers",
    "redundant_experts": "the layout copies experts",
    "scripted": "a script runs the commands of a node and ends them together",
    "supervised": "something watches the processes, which stay in the foreground",
    "very_first_node": "the node is the first of the plan",
    "tensor_parallel": "several GPUs share the attention of one request",
    "vision": "the model has a vision tower",
}
"""Name → meaning."""

# Families of facts, by their prefix.
GIVEN: Final = "given:"
"""`given:NAME`: the user gave the value of this name."""
GPU: Final = "gpu="
"""`gpu=NAME`: the GPU, by its name in the table."""
ARCH: Final = "arch="
"""`arch=NAME`: its generation."""
GPUS: Final = "gpus="
"""`gpus=N`: the GPUs of the node that are used."""
FORMAT: Final = "format="
"""`format=NAME`: the format of the output."""

SUPERVISED: Final = "supervised"
"""A scheduler or a container watches the processes: each stays in the foreground, and no files
are in the folder of a script."""

SCRIPTED: Final = "scripted"
"""A script, or --run, runs the commands of a node: each may stay in the foreground."""

VALUES: Final = frozenset(
    {
        "context",
        "gguf_path",
        "image",
        "master_port",
        "port",
        "rpc_port",
        "served_model_name",
        "ssh_port",
    }
)
"""The names of the values that a user can give."""


def is_fact(name: str, more: Container[str] = ()) -> bool:
    """Whether there is a fact of this name.

    Args:
        name: Its name, without the "!" that negates it in a profile.
        more: The facts that an engine adds: its features, and those of its `derive.py`.
    """
    if name.startswith(GIVEN):
        return name.removeprefix(GIVEN) in VALUES
    return name in FACTS or name in more or name.startswith((GPU, ARCH, GPUS, FORMAT))
