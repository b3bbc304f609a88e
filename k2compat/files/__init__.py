"""The only room that writes.

Two promises hold at every instant, power loss included:

- A file that existed holds its old bytes or its new ones, never a mix.
- A file that is new is absent or whole.

Both come from one order of steps: write under a hidden name beside the target, make that
durable, give it the target's name in one system call, make the folder durable. A run that
was killed leaves hidden names only; the next one under the same lock removes them.

Each folder on the way to a file is opened by descriptor without following links (steps.py). So if
a folder is replaced by a link while a command runs, nothing is written through the link.
"""

from k2compat.files.bundle import NewFile, write_bundle
from k2compat.files.folder import Folder, make_folder, open_folder
from k2compat.files.lock import exclusive, is_hidden_name
from k2compat.files.replace import replace_content
from k2compat.files.system import (
    CHUNK_BYTES,
    explained_reading,
    explained_writing,
    free_bytes,
    open_regular,
    read_input,
    read_regular,
    reading,
    real_folder,
    real_path,
    sync_file_system,
    sync_folder,
)
from k2compat.files.workspace import (
    Prepared,
    UnsupportedLinkError,
    Workspace,
    build_folder,
    publish,
)

__all__ = [
    "CHUNK_BYTES",
    "Folder",
    "NewFile",
    "Prepared",
    "UnsupportedLinkError",
    "Workspace",
    "build_folder",
    "exclusive",
    "explained_reading",
    "explained_writing",
    "free_bytes",
    "is_hidden_name",
    "make_folder",
    "open_folder",
    "open_regular",
    "publish",
    "read_input",
    "read_regular",
    "reading",
    "real_folder",
    "real_path",
    "replace_content",
    "sync_file_system",
    "sync_folder",
    "write_bundle",
]
