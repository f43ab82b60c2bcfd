"""python -m streamderain."""

from streamderain.cli import main

main()
