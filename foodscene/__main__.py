"""The program: `foodscene`, and `python -m foodscene`. It can be ended from the first moment."""

import os
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line."""
    if os.getpid() == 1:
        # In a container: the system drops signals that its first process has no handler for. Everybody else ends at
        # once on SIGTERM, unless a command says otherwise.
        signal.signal(signal.SIGTERM, _end)
    try:
        from foodscene.cli import cli
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    cli()


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
