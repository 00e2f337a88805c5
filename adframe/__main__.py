"""`python -m adframe` is the command `adframe`."""

from adframe.cli.app import main

main()
