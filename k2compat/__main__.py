"""`python -m k2compat`, the same program as `k2compat`."""

from k2compat.cli.start import main

main()
