"""A double of the engine, for the plug-ins."""
