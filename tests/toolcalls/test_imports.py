"""The parser is light, and stands alone."""

import subprocess
import sys

import k2compat.toolcalls

LIST_MODULES = """
import sys
before = set(sys.modules)
import k2compat.toolcalls
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def test_import_loads_the_standard_library_alone() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LIST_MODULES], check=True, capture_output=True, text=True
    )
    loaded = set(answer.stdout.split()) - {"k2compat", "regex"}
    assert loaded <= sys.stdlib_module_names


def test_import_loads_nothing_else_of_the_package() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LIST_MODULES.replace('.partition(".")[0]', "")],
        check=True,
        capture_output=True,
        text=True,
    )
    ours = {name for name in answer.stdout.split() if name.startswith("k2compat")}
    assert all(name == "k2compat" or name.startswith("k2compat.toolcalls") for name in ours)


def test_all_names_exist_and_are_sorted() -> None:
    names = k2compat.toolcalls.__all__
    assert names == sorted(names)
    assert all(hasattr(k2compat.toolcalls, name) for name in names)
