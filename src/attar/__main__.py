"""``python -m attar``: the command line, such as torchrun starts it."""

from __future__ import annotations

from attar.cli import main

if __name__ == "__main__":
    main()
