"""One cluster with a real node and one installation for all tests of a run; each test has a namespace of its own.

Several processes (`pytest -n`) share the cluster: the one that began the run makes and removes it. Tests that change the gateways of all
integrations bear the mark `changes_all_gateways`: they come last, and none of the others that use the installation runs meanwhile.
"""

import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.cluster import ClusterError, NodeCluster
from tests.e2e.place import Installation, Place, installation, place_in
from tests.e2e.team import Team, team_of
from tests.support.waiting import eventually

ALONE: Final = "changes_all_gateways"
ALONE_SECONDS: Final = 1200.0
_INSTALLATION: Final = "installation"
_shared = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", f"{ALONE}: runs while no other test uses the installation")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Fill a cluster before the first of a run's processes begins, and tell each of them where it is."""
    config: pytest.Config = node.config
    if _shared not in config.stash:
        stack = contextlib.ExitStack()
        config.add_cleanup(stack.close)
        try:
            config.stash[_shared] = stack.enter_context(installation()).as_text()
        except ClusterError as error:
            pytest.exit(str(error), returncode=1)
    node.workerinput[_INSTALLATION] = config.stash[_shared]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let groups begin, so that no process is left with a long one, and those that run alone come last."""

    def turn(item: pytest.Item) -> int:
        if item.get_closest_marker(ALONE) is not None:
            return 3
        # What doesn't use the installation goes on while others run alone.
        return 2 if "installed" not in getattr(item, "fixturenames", ()) else 0 if item.get_closest_marker("xdist_group") else 1

    items.sort(key=turn)


@pytest.fixture(scope="session")
def installed(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """The cluster that the run shares, with everything in it; one of its own for a run of one process."""
    told = getattr(request.config, "workerinput", {}).get(_INSTALLATION)
    if told is not None:
        yield Installation.from_text(told)
    else:
        with installation() as made:
            yield made


@pytest.fixture(scope="session")
def cluster(installed: Installation) -> NodeCluster:
    """A cluster of one node by kind, or the current kubeconfig's where `CLUSTER=existing`."""
    return installed.cluster


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def place(installed: Installation) -> AsyncIterator[Place]:
    """The operator, installed by its chart, and Mistral, simulated."""
    async with place_in(installed) as place:
        yield place


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def in_turn(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Wait until nobody changes the installation or, for a test that does, until nobody uses it."""
    if "PYTEST_XDIST_WORKER" in os.environ and request.node.get_closest_marker("xdist_group") is not None:
        assert "@" in request.node.nodeid, "the tests of a group run in several processes: start with `--dist loadgroup`"
    if "installed" not in request.fixturenames:
        yield
        return
    installed: Installation = request.getfixturevalue("installed")
    kind = fcntl.LOCK_EX if request.node.get_closest_marker(ALONE) is not None else fcntl.LOCK_SH
    with (installed.cluster.folder / "in-turn").open("w") as file:

        def locked() -> bool:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        await eventually(locked, "the other tests to be done with the installation", ALONE_SECONDS, 0.1)
        yield


@pytest_asyncio.fixture(loop_scope="session")
async def team(place: Place) -> AsyncIterator[Team]:
    """A team in a namespace of its own."""
    async with team_of(place) as team:
        yield team
