"""Plug-ins for engines: the parser under vLLM's and SGLang's own interfaces.

An engine calls an entry point in each of its processes as soon as the package
is installed. So the entry points (`vllm.register`, `sglang.register`) import the
standard library alone, register when the engine imports its parsers, and log
what fails. The classes derive from the engine's, in modules that only the
engine imports.
"""
