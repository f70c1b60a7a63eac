"""Which container engine carries kind's nodes."""

import subprocess
from collections.abc import Mapping
from enum import StrEnum

from tests.cluster.errors import ClusterError

WISH = "KIND_EXPERIMENTAL_PROVIDER"


class Provider(StrEnum):
    """kind's providers, by the names that kind gives them."""

    DOCKER = "docker"
    NERDCTL = "nerdctl"
    PODMAN = "podman"


def choose_provider(environ: Mapping[str, str]) -> Provider:
    """What `KIND_EXPERIMENTAL_PROVIDER` says, else Docker if its engine answers, else podman.

    Raises:
        ClusterError: kind has no provider of the wished name.
    """
    wished = environ.get(WISH)
    if not wished:
        return Provider.DOCKER if docker_answers(environ) else Provider.PODMAN
    if wished not in set(Provider):
        raise ClusterError(f"{WISH} is {wished!r}: kind knows {', '.join(Provider)}.")
    return Provider(wished)


def docker_answers(environ: Mapping[str, str]) -> bool:
    """Whether a Docker engine runs here and lets us in."""
    try:
        result = subprocess.run(
            ["docker", "info"], env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=20
        )
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0
