"""What is asked of the machine, and what is said where it lacks something."""

from pathlib import Path

import pytest

from tests.cluster.debian import this_release
from tests.cluster.errors import MissingPrerequisite
from tests.cluster.host_traces import leftover_rules, remove_empty_folder
from tests.cluster.packages import ENGINE, install_line, missing_packages
from tests.cluster.podman import Podman, containers_conf, hard_limits

BOOKWORM = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n'


def test_only_missing_packages_are_installed() -> None:
    assert missing_packages(ENGINE, lambda evidence: evidence in {"podman", "iptables"}) == ["runc", "mmdebstrap", "buildah"]


def test_the_line_to_type_names_the_packages() -> None:
    assert install_line(["podman", "runc"]) == "sudo apt-get install --no-install-recommends podman runc"


def test_the_release_and_its_sources_are_the_machines_own(tmp_path: Path) -> None:
    sources = tmp_path / "apt" / "sources.list.d"
    sources.mkdir(parents=True)
    (tmp_path / "os-release").write_text(BOOKWORM)
    (sources / "debian.sources").write_text("Types: deb\nSuites: bookworm\n")
    (sources / "nodesource.sources").write_text("Types: deb\nSuites: nodistro\n")
    release = this_release(tmp_path)
    assert (release.distribution, release.codename) == ("debian", "bookworm")
    assert release.sources == (sources / "debian.sources",)


def test_a_machine_that_is_not_debian_is_told_the_alternatives(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('PRETTY_NAME="Fedora Linux 44"\nID=fedora\n')
    with pytest.raises(MissingPrerequisite, match=r"runs Fedora Linux 44: start Docker, or let CLUSTER=existing"):
        this_release(tmp_path)


def test_podman_keeps_to_its_own_folder_and_to_our_limits(tmp_path: Path) -> None:
    podman = Podman(tmp_path / "podman", 4, {"PATH": "/usr/bin"})
    podman.prepare()
    environment = podman.environment()
    settings = Path(environment["CONTAINERS_CONF"]).read_text()
    files, processes = hard_limits()
    assert f'default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]' in settings
    assert all(str(tmp_path) in line for line in settings.splitlines() if "_dir = " in line and 'tmp_dir = "storage' not in line)
    assert str(tmp_path) in Path(environment["CONTAINERS_STORAGE_CONF"]).read_text()


def test_podman_forgets_what_ran_before_the_machine_was_started_anew(tmp_path: Path) -> None:
    podman = Podman(tmp_path, 4, {})
    podman.prepare()
    (tmp_path / "run").mkdir()
    podman.prepare()
    assert (tmp_path / "run").exists()
    (tmp_path / "boot-id").write_text("another start")
    podman.prepare()
    assert not (tmp_path / "run").exists()


def test_podman_5_has_no_cni(tmp_path: Path) -> None:
    assert 'network_backend = "cni"' in containers_conf(tmp_path, 4, (1, 1))
    assert 'network_backend = "netavark"' in containers_conf(tmp_path, 5, (1, 1))


FILTER_AFTER_A_CLUSTER = """-P INPUT ACCEPT
-P FORWARD ACCEPT
-N CNI-ADMIN
-N CNI-FORWARD
-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
-A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN""".splitlines()


def test_chains_without_a_container_are_taken_away_with_the_jumps_to_them() -> None:
    assert leftover_rules(FILTER_AFTER_A_CLUSTER) == [
        ["-D", "FORWARD", "-m", "comment", "--comment", "CNI firewall plugin rules", "-j", "CNI-FORWARD"],
        ["-F", "CNI-ADMIN"],
        ["-F", "CNI-FORWARD"],
        ["-X", "CNI-ADMIN"],
        ["-X", "CNI-FORWARD"],
    ]


@pytest.mark.parametrize("rule", ["-A CNI-FORWARD -s 10.89.0.2/32 -j ACCEPT", "-N CNI-279d0463ce3c22b9d2bce6f7"])
def test_chains_that_serve_a_container_stay(rule: str) -> None:
    assert leftover_rules([*FILTER_AFTER_A_CLUSTER, rule]) is None


def test_only_empty_folders_are_removed(tmp_path: Path) -> None:
    (tmp_path / "a" / "empty").mkdir(parents=True)
    (tmp_path / "a" / "used").mkdir()
    (tmp_path / "a" / "used" / "file").touch()
    remove_empty_folder(tmp_path / "a")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["used"]
    (tmp_path / "a" / "used" / "file").unlink()
    remove_empty_folder(tmp_path / "a")
    assert not (tmp_path / "a").exists()
