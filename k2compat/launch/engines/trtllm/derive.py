"""TensorRT-LLM: the folders and hosts of its container."""

from collections.abc import Mapping
from typing import Final

from k2compat.errors import RefusedError
from k2compat.launch.engines.derivation import Derivation
from k2compat.launch.engines.profile_entries import Situation
from k2compat.launch.request import FILES, SUPERVISED, Argument, Cluster, Placeholder

_SLURM: Final = "format=slurm"  # starts no container unless an image was given

_FILES = Argument((Placeholder(FILES, f"${{{FILES}}}"),))
_WORKSPACE = Argument.literal("/workspace")
_MODEL_FOLDER = Argument((Placeholder("YOUR_MODEL_DIR", "<YOUR_MODEL_DIR>"),))


class TensorRTLLM(Derivation):
    """Adds the folders that the container gets, and their paths in it.

    "hosts" for mpirun; "model_folder" to mount, and "served", its path in the container;
    "files_folder", with the settings; "draft_served", the draft's path in the container; two
    folders that every shell knows.
    """

    def values(
        self, situation: Situation, cluster: Cluster, values: Mapping[str, Argument]
    ) -> Mapping[str, Argument]:
        """Values that all nodes share."""
        bare = _SLURM in situation.facts and "given:image" not in situation.facts
        folder = _model_folder(values["model"], mounted=not bare)
        draft = values.get("draft", Argument(()))
        mounted = "draft_folder" in situation.facts and not bare
        return {
            "draft_served": values["container_draft"] if mounted else draft,
            "hosts": _hosts(cluster),
            "model_folder": folder,
            "served": folder if bare else values["container_model"],
            "files_folder": _FILES if SUPERVISED in situation.facts else _WORKSPACE,
            "here": Argument((Placeholder("PWD", "${PWD}"),)),
            "home": Argument((Placeholder("HOME", "~"),)),
        }


def _hosts(cluster: Cluster) -> Argument:
    """HOST:SLOTS for mpirun's -H; an IPv6 address in brackets."""
    gpus = Argument.literal(cluster.gpus_per_node)
    return Argument.join(
        ",",
        (
            Argument.fill(
                "[{host}]:{gpus}" if ":" in str(node.address) else "{host}:{gpus}",
                {"host": node.address, "gpus": gpus},
            )
            for node in cluster.nodes
        ),
    )


def _model_folder(model: Argument, *, mounted: bool) -> Argument:
    """The folder of the model; the guide's placeholder for a model that is only a name.

    Raises:
        RefusedError: mount-malformed.
    """
    text = str(model)
    if model.placeholders:
        return model
    if not text.startswith("/"):
        return _MODEL_FOLDER
    if mounted and ":" in text:
        raise RefusedError(
            "mount-malformed",
            f"{text} cannot be mounted into a container: a colon ends the path.",
            hint="Name the folder by another path, for example through a link.",
        )
    return model


DERIVATION = TensorRTLLM()
