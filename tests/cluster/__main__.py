"""`python -m tests.cluster`: clusters and images for the demo, for tests and by hand."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.binaries import Binaries
from tests.cluster.cache import Cache, cache_root
from tests.cluster.errors import ClusterError
from tests.cluster.guardian import wait_for_end
from tests.cluster.images import ImageRequest, Images, copy_archive
from tests.cluster.kind import KindClusters
from tests.cluster.packages import Packages
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
    build = commands.add_parser("build", help="build the programs of the API server and of clusters")
    build.set_defaults(run=_build)
    browser = commands.add_parser("browser", help="see to it that there is a browser for tests")
    browser.set_defaults(run=lambda _: Packages(Progress(), dict(os.environ)).require_browser())
    base = commands.add_parser("base-image", help="make the base image for machines without a registry; prints its name")
    base.set_defaults(run=lambda _: print(_images().base_image()))
    image = commands.add_parser("image", help="build the project's image as an archive; prints the archive's path")
    image.add_argument("--dockerfile", type=Path, default=Path("Dockerfile"))
    image.add_argument("--target", default="production")
    image.add_argument("--tag", required=True, help="the image's full name, such as localhost/mistral-voice:test")
    image.add_argument("--output", type=Path, help="where the archive shall lie; by default in the cache")
    image.set_defaults(run=_image)
    clean = commands.add_parser("clean", help="remove every cluster and all that is cached")
    clean.set_defaults(run=_clean)
    return top


def _add_kind(kind: argparse.ArgumentParser) -> None:
    commands = kind.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="make a cluster, or keep the one that is there")
    up.add_argument("--name", required=True)
    up.add_argument("--kubeconfig", required=True, type=Path, help="the file that gets the administrator's access")
    up.set_defaults(run=lambda options: _clusters().up(options.name, options.kubeconfig.resolve()))
    prepare = commands.add_parser("prepare", help="make all that a first cluster would have to wait for")
    prepare.set_defaults(run=lambda _: _clusters().prepare())
    down = commands.add_parser("down", help="remove a cluster and all that came with it")
    down.add_argument("--name", required=True)
    down.set_defaults(run=lambda options: _clusters().down(options.name))
    load = commands.add_parser("load", help="put an archive's images into a cluster")
    load.add_argument("--name", required=True)
    load.add_argument("archive", type=Path)
    load.set_defaults(run=lambda options: _clusters().load(options.name, options.archive.resolve()))
    guard = commands.add_parser("guard", help="wait until a process has ended, however it did, and then remove a cluster")
    guard.add_argument("--name", required=True)
    guard.add_argument("--pid", required=True, type=int)
    guard.set_defaults(run=_guard)
    names = commands.add_parser("list", help="the clusters that exist")
    names.set_defaults(run=_list)


def _list(_: argparse.Namespace) -> None:
    for name in _clusters().names():
        print(name)


def _guard(options: argparse.Namespace) -> None:
    wait_for_end(options.pid)
    _clusters().down(options.name)


def _clean(_: argparse.Namespace) -> None:
    clusters = _clusters()
    for name in clusters.names():
        clusters.down(name)
    with Progress().step("Emptying the cache"):
        shutil.rmtree(cache_root(os.environ), ignore_errors=True)


def _build(_: argparse.Namespace) -> None:
    environ, progress = dict(os.environ), Progress()
    print(Binaries(Cache(cache_root(environ), progress), progress, environ).kubernetes())


def _image(options: argparse.Namespace) -> None:
    archive = _images().archive(ImageRequest(options.dockerfile.resolve(), options.target, options.tag))
    if options.output:
        copy_archive(archive, options.output)
    print(options.output or archive)


def _images() -> Images:
    return Images(dict(os.environ), Progress())


def _clusters() -> KindClusters:
    return KindClusters(dict(os.environ), Progress())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
