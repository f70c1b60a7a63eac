"""Images where no registry is reached: a base image of the machine's own Debian release, and the project's Dockerfile on top of it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cache import Cache, cache_root, digest
from tests.cluster.commands import isolated, run, run_watched
from tests.cluster.debian import Release, is_root, make_root_file_system, this_release
from tests.cluster.errors import ClusterError, CommandFailed, MissingPrerequisite
from tests.cluster.packages import Packages
from tests.cluster.podman import Podman
from tests.cluster.progress import Progress, Step
from tests.cluster.provider import Provider, choose_provider

BASE_NAME = "localhost/mistral-voice-base"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
PIP_CONF = "/etc/pip.conf"
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# Settings of the machine's pip that a build needs to reach the same packages.
PIP_SETTINGS = ("default-timeout", "extra-index-url", "index-url", "proxy", "retries", "timeout", "trusted-host")
UNUSED_LAYERS_KEPT = "24h"


@dataclass(frozen=True)
class ImageRequest:
    """An image to build.

    Attributes:
        dockerfile: it lies in the folder that is the build's context, and takes the base image as its argument BASE.
        target: the Dockerfile's stage.
        tag: the image's full name, such as `localhost/mistral-voice:test`.
    """

    dockerfile: Path
    target: str
    tag: str

    @property
    def context(self) -> Path:
        """The folder whose files the Dockerfile may copy."""
        return self.dockerfile.parent


class Images:
    """Builds images, with Docker where it is and reaches the Dockerfile's base, else with buildah."""

    def __init__(self, environ: Mapping[str, str], progress: Progress) -> None:
        self._environ = environ
        self._progress = progress
        self._cache = Cache(cache_root(environ), progress)
        self._packages = Packages(progress, environ)

    def archive(self, request: ImageRequest) -> Path:
        """An archive of the image, for `kind load image-archive`; built only if one of its inputs has changed.

        Raises:
            ClusterError: the build failed; the text ends with its last lines.
        """
        if not request.dockerfile.is_file():
            raise ClusterError(f"There is no {request.dockerfile}.")
        with_docker = self._docker_builds(request)
        base = "" if with_docker else self.base_image()
        key = digest(base, request.target, request.tag, *context_inputs(request.context, request.dockerfile))
        title = f"Building {request.tag} (target {request.target})"

        def make(folder: Path) -> None:
            with self._progress.step(title) as step:
                build = self._docker_build(request, folder) if with_docker else self._buildah_build(request, base, folder)
                run_watched(
                    build, what=f"build {request.tag}", on_line=lambda line: step.update(line[:80]), env=self._podman().environment()
                )
                step.update("writing the archive")
                self._write_archive(request, folder / "image.tar", with_docker)

        return self._cache.entry(f"images/{request.target}", key, make) / "image.tar"

    def debian_archive(self, name: str, packages: Sequence[str]) -> Path | None:
        """An archive of an image of the machine's own Debian release with these packages; None where Docker pulls images instead."""
        if choose_provider(self._environ) is Provider.DOCKER:
            return None
        self._require_buildah()
        release = this_release()
        podman = self._podman()
        podman.prepare()

        def make(folder: Path) -> None:
            self._cache.require_space(2)
            with self._progress.step(f"Making {name} of {release.codename} (about a minute, once)") as step:
                tar = folder / "root.tar"
                make_root_file_system(tar, packages, release, self._environ, step)
                podman.import_image(tar, name)
                tar.unlink()
                run(
                    ["buildah", "push", name, f"docker-archive:{folder / 'image.tar'}:{name}"],
                    what=f"save {name}",
                    env=podman.environment(),
                )

        return self._cache.entry("images/debian", digest(release.codename, name, *packages), make) / "image.tar"

    def base_image(self) -> str:
        """The name of an image with Python and CA certificates, in our own storage; made at first use."""
        self._require_buildah()
        release = this_release()
        tag = digest(release.codename, *BASE_PACKAGES, PIP_CONF)
        name = f"{BASE_NAME}:{tag}"
        podman = self._podman()
        podman.prepare()
        with self._cache.locked("base-image"):
            if not podman.has_image(name):
                with self._progress.step(f"Making a base image of {release.codename} with Python (about a minute, once)") as step:
                    self._make_base_image(name, release, podman, step)
                podman.remove_images(BASE_NAME, keep=tag)
        return name

    def _make_base_image(self, name: str, release: Release, podman: Podman, step: Step) -> None:
        self._cache.require_space(3)
        with tempfile.TemporaryDirectory(dir=self._cache.root, prefix="base-image-") as scratch:
            tar = Path(scratch) / "root.tar"
            # Where pip.conf is mounted during a build there must be a file, or the build would leave one behind.
            make_root_file_system(tar, BASE_PACKAGES, release, self._environ, step, emptied=[PIP_CONF])
            podman.import_image(tar, name, ['CMD ["python3"]'])

    def _docker_builds(self, request: ImageRequest) -> bool:
        """Whether Docker is here and has, or gets, the base image that the Dockerfile names."""
        if choose_provider(self._environ) is not Provider.DOCKER:
            return False
        base = default_base(request.dockerfile.read_text())
        return base is None or self._docker("image", "inspect", base) or self._docker("pull", base)

    def _docker(self, *arguments: str) -> bool:
        return subprocess.run(["docker", *arguments], env=dict(self._environ), capture_output=True, check=False).returncode == 0

    def _docker_build(self, request: ImageRequest, _folder: Path) -> list[str | Path]:
        return ["docker", "build", "--target", request.target, "--tag", request.tag, "--file", request.dockerfile, request.context]

    def _buildah_build(self, request: ImageRequest, base: str, folder: Path) -> list[str | Path]:
        pip_conf = folder / "pip.conf"
        pip_conf.write_text(pip_configuration(self._pip_settings()))
        volumes = [f"{self._ca_bundle()}:{CA_BUNDLE}:ro", f"{pip_conf}:{PIP_CONF}:ro"]
        options = ["--isolation", "chroot", "--network", "host", "--layers"]
        options += [option for volume in volumes for option in ("--volume", volume)]
        options += ["--build-arg", f"BASE={base}", "--target", request.target, "--tag", request.tag]
        return isolated(["buildah", "bud", *options, "--file", request.dockerfile, request.context])

    def _write_archive(self, request: ImageRequest, archive: Path, with_docker: bool) -> None:
        if with_docker:
            run(["docker", "save", "--output", archive, request.tag], what=f"save {request.tag}", env=self._environ)
            return
        (archive.parent / "pip.conf").unlink()
        podman = self._podman()
        # docker-archive, since it is not compressed: it goes no farther than to a node on this machine.
        run(
            ["buildah", "push", request.tag, f"docker-archive:{archive}:{request.tag}"],
            what=f"save {request.tag}",
            env=podman.environment(),
        )
        podman.run("remove old layers", "image", "prune", "--force", "--filter", f"until={UNUSED_LAYERS_KEPT}")

    def _require_buildah(self) -> None:
        self._packages.require_engine()
        if not is_root():
            raise MissingPrerequisite("Without Docker images are built by buildah as root: start Docker, or run this again as root.")

    def _podman(self) -> Podman:
        return Podman(self._cache.root / "podman", self._packages.podman_major(), self._environ)

    def _ca_bundle(self) -> Path:
        """The machine's own certificates: behind a proxy that opens TLS only they make its packages reachable."""
        for candidate in (self._environ.get("SSL_CERT_FILE"), CA_BUNDLE):
            if candidate and Path(candidate).is_file():
                return Path(candidate)
        raise MissingPrerequisite(f"There are no CA certificates at {CA_BUNDLE}: install the package ca-certificates.")

    def _pip_settings(self) -> dict[str, str]:
        try:
            listed = run([sys.executable, "-m", "pip", "config", "list"], what="read pip's settings", env=self._environ)
        except CommandFailed:
            return {}
        return parse_pip_config(listed)


def context_inputs(context: Path, dockerfile: Path) -> list[str | Path]:
    """What a build depends on: the Dockerfile and, where .dockerignore is a list of exceptions to `*`, those; else the whole context."""
    ignore = context / ".dockerignore"
    lines = [line.strip() for line in ignore.read_text().splitlines()] if ignore.exists() else []
    admitted = sorted(line[1:].rstrip("/") for line in lines if line.startswith("!")) if "*" in lines else ["."]
    inputs: list[str | Path] = [dockerfile, "\n".join(lines)]
    for name in admitted:
        if (context / name).exists():
            inputs += [name, context / name]
    return inputs


def default_base(dockerfile: str) -> str | None:
    """The base image that a Dockerfile names by `ARG BASE=…`."""
    match = re.search(r"^ARG BASE=(\S+)", dockerfile, re.MULTILINE)
    return match[1] if match else None


def parse_pip_config(listed: str) -> dict[str, str]:
    """What of `pip config list` matters in a build; the environment's settings, listed first by pip, win."""
    settings: dict[str, str] = {}
    for section, name, value in re.findall(r"^([\w:]+)\.([\w-]+)='(.*)'$", listed, re.MULTILINE):
        if name in PIP_SETTINGS and section in {":env:", "global", "install"} and (name not in settings or section == ":env:"):
            settings[name] = value.replace("\\n", "\n    ")
    return settings


def pip_configuration(settings: Mapping[str, str]) -> str:
    """A pip.conf for the build."""
    lines = [f"{name} = {value}" for name, value in {**settings, "cert": CA_BUNDLE}.items()]
    return "\n".join(["[global]", *lines, ""])


def copy_archive(source: Path, target: Path) -> None:
    """Put a cached archive where the user wants it, without a second copy on the disk where that is possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.new")
    unfinished.unlink(missing_ok=True)
    try:
        os.link(source, unfinished)
    except OSError:
        shutil.copyfile(source, unfinished)
    unfinished.replace(target)
