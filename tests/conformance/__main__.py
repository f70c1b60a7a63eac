"""`python -m tests.conformance [--all]`: install other people's clients, so that the tests find them."""

import sys

from tests.cluster.errors import ClusterError
from tests.conformance.environment import environment


def main(arguments: list[str]) -> int:
    """Install; a failure is a sentence on standard error and exit code 1."""
    try:
        environment().node_modules()
        if "--all" in arguments:
            environment().python()
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
