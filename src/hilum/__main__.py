"""`hilum` and `python -m hilum`."""

from __future__ import annotations

from hilum.cli.root import main

if __name__ == "__main__":
    main()
