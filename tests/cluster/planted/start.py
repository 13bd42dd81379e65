"""`python -m tests.cluster.planted.start BUG operate …`: the operator with a bug in it."""

import sys

from asiarch import cli
from tests.cluster.planted.bugs import BUGS


def main() -> None:
    """Plant the bug, then be the operator."""
    bug = sys.argv.pop(1)
    BUGS[bug]()
    cli.main()


if __name__ == "__main__":
    main()
