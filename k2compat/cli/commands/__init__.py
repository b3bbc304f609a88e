"""The commands, one module for each; its click command is called `command`."""
