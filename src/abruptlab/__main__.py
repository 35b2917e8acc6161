"""`python -m abruptlab` is the command `abruptlab`."""

from abruptlab.cli import main

main()
