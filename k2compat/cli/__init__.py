"""The command line: `commands/` with one file a command, one output sink."""
