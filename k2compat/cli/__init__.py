"""The command line: `commands/` with one file for each command, and one output sink."""
