"""TensorRT-LLM: what its container is given of this machine."""

from collections.abc import Mapping

from k2compat.errors import RefusedError
from k2compat.launch.cluster import Cluster
from k2compat.launch.engines.base import Engine
from k2compat.launch.profile import Situation
from k2compat.launch.words import Placeholder, Word

_MODEL_FOLDER = Word((Placeholder("YOUR_MODEL_DIR", "<YOUR_MODEL_DIR>"),))


class TensorRTLLM(Engine):
    """Adds "hosts" for mpirun, "model_folder" to mount, and two folders that every shell knows."""

    def values(
        self, situation: Situation, cluster: Cluster, values: Mapping[str, Word]
    ) -> Mapping[str, Word]:
        """Values that all nodes share."""
        del situation
        return {
            "hosts": _hosts(cluster),
            "model_folder": _model_folder(values["model"]),
            "here": Word((Placeholder("PWD", "${PWD}"),)),
            "home": Word((Placeholder("HOME", "~"),)),
        }


def _hosts(cluster: Cluster) -> Word:
    """HOST:SLOTS, as mpirun's -H takes them; an IPv6 address in brackets."""
    gpus = Word.literal(cluster.gpus_per_node)
    return Word.join(
        ",",
        (
            Word.fill(
                "[{host}]:{gpus}" if ":" in str(node.address) else "{host}:{gpus}",
                {"host": node.address, "gpus": gpus},
            )
            for node in cluster.nodes
        ),
    )


def _model_folder(model: Word) -> Word:
    """The folder that docker mounts; of a model that is only a name, the guide's placeholder.

    Raises:
        RefusedError: mount-malformed.
    """
    text = str(model)
    if model.placeholders:
        return model
    if not text.startswith("/"):
        return _MODEL_FOLDER
    if ":" in text:
        raise RefusedError(
            "mount-malformed",
            f"docker cannot mount {text}: a colon ends the path in -v.",
            hint="Name the folder by another path, for example through a link.",
        )
    return model


ENGINE = TensorRTLLM()
