"""`python -m tests.demo up|down`."""

import argparse
import os
import sys
from collections.abc import Sequence

from tests.cluster.errors import ClusterError
from tests.cluster.progress import Progress
from tests.demo.run import Demo


def main(arguments: Sequence[str]) -> int:
    """Run one command; a failure is a sentence on standard error and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("command", choices=("up", "down"), help="make all and talk to it; or remove all that was made")
    options = parser.parse_args(arguments)
    demo = Demo(dict(os.environ), Progress())
    try:
        if options.command == "up":
            sys.stdout.write(demo.up())
        else:
            demo.down()
    except ClusterError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. What is there stays: `make demo` goes on from it, `make demo-down` removes it.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
