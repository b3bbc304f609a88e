"""Small packages laid out as releases of vLLM are: where the program, the parser and its class lie.

Each begins with the program that the metadata name. The server that `vllm serve` would start writes
a file `started`, so that a test notices it.
"""

import textwrap
from collections.abc import Mapping
from pathlib import Path

_FLEXIBLE = """
import argparse, sys

class FlexibleArgumentParser(argparse.ArgumentParser):
    def parse_args(self, args=None, namespace=None):
        args = sys.argv[1:] if args is None else args
        if args and args[0] == "serve" and "--model" in args:
            raise ValueError("With `vllm serve`, the model is positional.")
        return super().parse_args(args, namespace)
"""

_FLAGS = """
def make_arg_parser(parser):
    parser.add_argument("model_tag", nargs="?")
    parser.add_argument("--model")
    parser.add_argument("--tensor-parallel-size", "-tp", type=int, default=1)
    parser.add_argument("--enable-auto-tool-choice", action="store_true")
    parser.add_argument("--tool-call-parser")
    return parser

def validate_parsed_serve_args(args):
    if args.enable_auto_tool_choice and not args.tool_call_parser:
        raise TypeError("Error: --enable-auto-tool-choice requires --tool-call-parser")
"""

_SERVE = """
import pathlib
from {flags} import make_arg_parser, validate_parsed_serve_args

class ServeSubcommand:
    name = "serve"

    @staticmethod
    def cmd(args):
        (pathlib.Path(__file__).parent / "started").touch()

    def validate(self, args):
        validate_parsed_serve_args(args)

    def subparser_init(self, subparsers):
        return make_arg_parser(subparsers.add_parser("serve"))

def cmd_init():
    return [ServeSubcommand()]
"""

_BENCH = """
class Bench:
    name = "bench"

    @staticmethod
    def cmd(args):
        raise AssertionError

    def validate(self, args):
        raise AssertionError

    def subparser_init(self, subparsers):
        return subparsers.add_parser("bench")

def cmd_init():
    return [Bench()]
"""

# Every command is made at once; what was read is checked, then the command is called.
_EAGER = """
def main():
    import importlib
    from {utils} import FlexibleArgumentParser
    parser = FlexibleArgumentParser()
    parser.add_argument("-v", "--version", action="version", version="0")
    subparsers = parser.add_subparsers(required=False, dest="subparser")
    commands = {{}}
    for name in ("{serve}", "vllm.entrypoints.cli.bench"):
        for command in importlib.import_module(name).cmd_init():
            command.subparser_init(subparsers).set_defaults(dispatch_function=command.cmd)
            commands[command.name] = command
    args = parser.parse_args()
    if args.subparser in commands:
        commands[args.subparser].validate(args)
    if hasattr(args, "dispatch_function"):
        args.dispatch_function(args)
"""

# The command that is asked for is made, the others have names alone; --help shows few flags.
_LAZY = """
import argparse, importlib, sys

COMMANDS = {{"serve": "{serve}", "bench": "vllm.entrypoints.cli.bench"}}

def main():
    asked = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    compact = "--help" in sys.argv or "-h" in sys.argv
    if compact:
        parser = argparse.ArgumentParser()
    else:
        from {utils} import FlexibleArgumentParser
        parser = FlexibleArgumentParser()
    subparsers = parser.add_subparsers(required=False, dest="subparser")
    command = None
    for name, module in COMMANDS.items():
        if name == asked and not compact:
            (command,) = importlib.import_module(module).cmd_init()
            command.subparser_init(subparsers).set_defaults(dispatch_function=command.cmd)
        else:
            subparsers.add_parser(name, add_help=False)
    args = parser.parse_args()
    if command is not None:
        command.validate(args)
    if hasattr(args, "dispatch_function"):
        args.dispatch_function(args)
"""


def _layout(main: str, *, utils: str, flags: str, serve: str, program: str) -> Mapping[str, str]:
    names = {"utils": utils, "flags": flags, "serve": serve}
    return {
        program: main.format(**names),
        utils: _FLEXIBLE,
        flags: _FLAGS,
        serve: _SERVE.format(**names),
        "vllm.entrypoints.cli.bench": _BENCH,
    }


_CLI = {"program": "vllm.entrypoints.cli.main", "serve": "vllm.entrypoints.cli.serve"}
_OPENAI = "vllm.entrypoints.openai.cli_args"
_ARGPARSE = "vllm.utils.argparse_utils"

LAYOUTS: Mapping[str, Mapping[str, str]] = {
    "0.10.0": _layout(_EAGER, utils="vllm.utils", flags=_OPENAI, **_CLI),
    "0.15.0": _layout(_EAGER, utils=_ARGPARSE, flags=_OPENAI, **_CLI),
    "0.33.0": _layout(_EAGER, utils=_ARGPARSE, flags="vllm.entrypoints.common.cli_args", **_CLI),
    "lazy": _layout(_LAZY, utils=_ARGPARSE, flags=_OPENAI, **_CLI),
    "moved": _layout(
        _LAZY,
        utils="vllm.arguments",
        flags="vllm.server.flags",
        serve="vllm.server.commands",
        program="vllm.program",
    ),
}
"""Release, or what is particular → module → its text; the first module has the program's `main`."""


def lay_out(site: Path, layout: str) -> None:
    """Write the package, with the metadata that name its program."""
    modules = LAYOUTS[layout]
    for name, text in modules.items():
        write_module(site, name, text)
    write_metadata(site, f"{next(iter(modules))}:main")


def write_module(site: Path, name: str, text: str) -> None:
    """Write a module and the packages around it."""
    folder = site.joinpath(*name.split("."))
    for parent in folder.parents:
        if parent == site:
            break
        parent.mkdir(parents=True, exist_ok=True)
        (parent / "__init__.py").touch()
    is_package = folder.is_dir() or name == "vllm.utils"
    folder.mkdir(exist_ok=True) if is_package else None
    file = folder / "__init__.py" if is_package else folder.with_suffix(".py")
    file.write_text(textwrap.dedent(text), encoding="utf-8")


def write_metadata(site: Path, program: str, distribution: str = "vllm") -> None:
    """Write the metadata of an installed distribution with the program `vllm`."""
    folder = site / f"{distribution.replace('-', '_')}-0.33.0.dist-info"
    folder.mkdir()
    text = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.33.0\n"
    (folder / "METADATA").write_text(text, encoding="utf-8")
    (folder / "entry_points.txt").write_text(f"[console_scripts]\nvllm = {program}\n")
