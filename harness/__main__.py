"""``python -m harness`` is the command ``isolation``."""

from harness.cli import main

if __name__ == "__main__":
    main()
