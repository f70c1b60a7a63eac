"""Which container engine carries kind's nodes."""

import subprocess
from collections.abc import Mapping
from enum import StrEnum


class Provider(StrEnum):
    """kind's providers, by the names that kind gives them."""

    DOCKER = "docker"
    NERDCTL = "nerdctl"
    PODMAN = "podman"


def choose_provider(wished: str | None, docker_answers: bool) -> Provider:
    """What `KIND_EXPERIMENTAL_PROVIDER` says, else Docker if there is one, else podman.

    Raises:
        ValueError: kind has no provider of the wished name.
    """
    if wished:
        return Provider(wished)
    return Provider.DOCKER if docker_answers else Provider.PODMAN


def docker_answers(environ: Mapping[str, str]) -> bool:
    """Whether a Docker engine runs here and lets us in."""
    try:
        result = subprocess.run(["docker", "info"], env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=20)
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0
