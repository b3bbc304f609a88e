"""An old command line becomes today's."""
