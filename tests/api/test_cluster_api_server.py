"""The API server of the tests itself: what it offers, and that nothing of it is left."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster import ApiServer, ClusterError, api_server
from tests.cluster.binaries import kubernetes_version
from tests.support.waiting import WAIT_SECONDS

REPOSITORY = Path(__file__).parents[2]
OWNER = """
import sys
from tests.cluster import api_server
with api_server(controller_manager=["garbage-collector-controller"]) as cluster:
    print(cluster.folder, *(process.pid for process in cluster.processes.values()), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def controlled() -> Iterator[ApiServer]:
    """An API server with all controllers."""
    with api_server(controller_manager=True) as cluster:
        yield cluster


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_the_administrator_may_do_everything(controlled: ApiServer) -> None:
    assert controlled.kubectl("auth", "can-i", "*", "*", "--all-namespaces").stdout == "yes\n"
    assert kubernetes_version() in controlled.kubectl("version").stdout
    assert controlled.helm("list").stdout.startswith("NAME")


def test_controllers_act_on_objects(controlled: ApiServer) -> None:
    controlled.kubectl("create", "deployment", "web", "--image=localhost/web:1")
    wait_until(lambda: "web-" in controlled.kubectl("get", "pods", "--selector", "app=web").stdout)
    controlled.kubectl("delete", "deployment", "web")
    wait_until(lambda: "web-" not in controlled.kubectl("get", "pods", "--selector", "app=web").stdout)


def test_a_user_may_do_what_rbac_allows_and_no_more(controlled: ApiServer) -> None:
    controlled.kubectl("create", "rolebinding", "readers", "--clusterrole=view", "--group=readers")
    reader = controlled.kubeconfig_for_user("alice", ["readers"])
    stranger = controlled.kubeconfig_for_user("bob")
    # The API server hears of a binding, and a controller of what the role is made of, a moment later.
    wait_until(lambda: controlled.kubectl("--kubeconfig", str(reader), "get", "pods", check=False).returncode == 0)
    refused = controlled.kubectl("--kubeconfig", str(stranger), "get", "pods", check=False)
    assert 'User "bob" cannot list resource "pods"' in refused.stderr


def test_a_service_account_has_a_kubeconfig_of_its_own(controlled: ApiServer) -> None:
    kubeconfig = controlled.kubeconfig_for_service_account("default", "default")
    refused = controlled.kubectl("--kubeconfig", str(kubeconfig), "get", "secrets", check=False)
    assert 'User "system:serviceaccount:default:default" cannot list resource "secrets"' in refused.stderr
    assert kubeconfig.stat().st_mode & 0o077 == 0


def test_a_refusal_is_an_error_that_quotes_kubectl(controlled: ApiServer) -> None:
    with pytest.raises(ClusterError, match=r'namespaces "nowhere" not found'):
        controlled.kubectl("get", "namespace", "nowhere")
    assert controlled.kubectl("get", "namespace", "nowhere", check=False).returncode == 1


def test_a_flag_that_the_server_refuses_is_said_with_its_own_words() -> None:
    with (
        pytest.raises(ClusterError, match=r"kube-apiserver ended while it started(?s:.*)unknown flag: --no-such-flag"),
        api_server(flags=["--no-such-flag"]),
    ):
        pass


def test_a_killed_owner_leaves_no_process_and_no_folder() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder, *pids = owner.stdout.readline().split()
        assert len(pids) == 3
        assert all(psutil.pid_exists(int(pid)) for pid in pids)
        owner.kill()
    wait_until(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids) and not Path(folder).exists())
