"""``python -m bal`` is the command `bal`."""

import sys

from bal.cli import main

if __name__ == "__main__":
    sys.exit(main())
