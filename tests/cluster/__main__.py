"""`python -m tests.cluster`: clusters and images for the demo, for tests and by hand."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.kind import KindClusters
from tests.cluster.progress import Progress


def main(arguments: Sequence[str]) -> int:
    """Run one command; a failure is a sentence on standard error and exit code 1."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_kind(commands.add_parser("kind", help="whole clusters by kind"))
    return top


def _add_kind(kind: argparse.ArgumentParser) -> None:
    commands = kind.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="make a cluster, or keep the one that is there")
    up.add_argument("--name", required=True)
    up.add_argument("--kubeconfig", required=True, type=Path, help="the file that gets the administrator's access")
    up.set_defaults(run=lambda options: _clusters().up(options.name, options.kubeconfig.resolve()))
    down = commands.add_parser("down", help="remove a cluster and all that came with it")
    down.add_argument("--name", required=True)
    down.set_defaults(run=lambda options: _clusters().down(options.name))
    load = commands.add_parser("load", help="put an archive's images into a cluster")
    load.add_argument("--name", required=True)
    load.add_argument("archive", type=Path)
    load.set_defaults(run=lambda options: _clusters().load(options.name, options.archive.resolve()))
    names = commands.add_parser("list", help="the clusters that exist")
    names.set_defaults(run=lambda options: print("\n".join(_clusters().names())))


def _clusters() -> KindClusters:
    return KindClusters(dict(os.environ), Progress())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
