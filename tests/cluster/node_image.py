"""The image of a cluster's node, made on the spot where kind's own cannot be pulled.

It holds what kind's own image holds: systemd, containerd, kubelet, kubeadm, and the images of the control plane. kind's entrypoint
and unit files come from kind's module, the rest from `node/`.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.binaries import Binaries, kubernetes_version
from tests.cluster.cache import Cache, digest
from tests.cluster.commands import isolated, run, run_watched
from tests.cluster.debian import Release, make_root_file_system, this_release
from tests.cluster.errors import ClusterError
from tests.cluster.oci import Image, write_archive
from tests.cluster.podman import Podman
from tests.cluster.progress import Progress, Step

FILES = Path(__file__).parent / "node"
IMAGE_NAME = "localhost/mistral-voice-kind-node"

PACKAGES = (
    "bash",
    "ca-certificates",
    "catatonit",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "ethtool",
    "iproute2",
    "iptables",
    "jq",
    "kmod",
    "mount",
    "nftables",
    "procps",
    "python3-minimal",
    "runc",
    "systemd",
    "util-linux",
)
CONTROL_PLANE_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
# systemd reads the host's cgroup version from its own mount; on a hybrid host it has to be told.
ENTRYPOINT = '["/usr/local/bin/entrypoint","/sbin/init","systemd.legacy_systemd_cgroup_controller=1"]'
UNWANTED_UNITS = (
    "usr/lib/systemd/system/multi-user.target.wants/*",
    "etc/systemd/system/*.wants/*",
    "usr/lib/systemd/system/local-fs.target.wants/*",
    "usr/lib/systemd/system/sockets.target.wants/*udev*",
    "usr/lib/systemd/system/sockets.target.wants/*initctl*",
    "usr/lib/systemd/system/basic.target.wants/*",
    "usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
)


class NodeImage:
    """Makes the node's image at first use and keeps it in our podman's storage."""

    def __init__(self, cache: Cache, podman: Podman, binaries: Binaries, progress: Progress, environ: Mapping[str, str]) -> None:
        self._cache = cache
        self._podman = podman
        self._binaries = binaries
        self._progress = progress
        self._environ = environ

    def name(self) -> str:
        """The image's full name; it is in the storage when this returns."""
        release = this_release()
        programs, coredns = self._binaries.kubernetes(), self._binaries.coredns()
        tag = digest(
            FILES, Path(__file__), Path(__file__).with_name("oci.py"), programs.name, coredns.parent.name, release.codename, *PACKAGES
        )
        name = f"{IMAGE_NAME}:{tag}"
        with self._cache.locked("node-image"):
            if not self._podman.has_image(name):
                self._cache.require_space(6)
                root = self._root_file_system(release)
                with self._progress.step(
                    f"Making the image of a node with Kubernetes {kubernetes_version()} (about a minute, once)"
                ) as step:
                    self._make(name, root, programs, coredns, step)
                self._podman.remove_images(IMAGE_NAME, keep=tag)
        return name

    def _root_file_system(self, release: Release) -> Path:
        def make(folder: Path) -> None:
            with self._progress.step(f"Making a {release.codename} file system for the node (about 90 s, once)") as step:
                make_root_file_system(folder / "root.tar", PACKAGES, release, self._environ, step)

        return self._cache.entry("node-root", digest(release.codename, *PACKAGES), make) / "root.tar"

    def _make(self, name: str, root_tar: Path, programs: Path, coredns: Path, step: Step) -> None:
        scratch = self._cache.root / "node-image.making"
        shutil.rmtree(scratch, ignore_errors=True)
        root = scratch / "root"
        root.mkdir(parents=True)
        try:
            step.update("unpacking the file system")
            run(
                ["tar", "--extract", "--numeric-owner", "--xattrs", "--file", root_tar, "--directory", root], what="unpack the node's files"
            )
            images = image_names(
                run(
                    [programs / "kubeadm", "config", "images", "list", "--kubernetes-version", kubernetes_version()],
                    what="list the control plane's images",
                )
            )
            self._install_system(root, images["pause"])
            self._install_kubernetes(root, programs)
            step.update("making the control plane's images")
            archive = scratch / "images.tar"
            write_archive(archive, control_plane_images(scratch, root, programs, coredns, images))
            step.update("loading the control plane's images")
            run_watched(isolated([FILES / "preload.sh", root, archive]), what="load images into the node", on_line=lambda _: None)
            step.update("storing the image")
            tar = scratch / "node.tar"
            run(["tar", "--create", "--numeric-owner", "--xattrs", "--file", tar, "--directory", root, "."], what="pack the node's files")
            self._podman.import_image(tar, name, [f"ENTRYPOINT {ENTRYPOINT}", "ENV container=docker", "STOPSIGNAL SIGRTMIN+3"])
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _install_system(self, root: Path, pause_image: str) -> None:
        kind = self._binaries.kind_module() / "images/base/files"
        _copy(kind / "usr/local/bin/entrypoint", root / "usr/local/bin/entrypoint", 0o755)
        for script in sorted((kind / "kind/bin").glob("*.sh")):
            _copy(script, root / "kind/bin" / script.name, 0o755)
        units = (
            "kubelet.service",
            "kubelet.slice",
            "undo-mount-hacks.service",
            "kubelet.service.d/10-kubeadm.conf",
            "kubelet.service.d/11-kind.conf",
        )
        for unit in units:
            _copy(kind / "etc/systemd/system" / unit, root / "etc/systemd/system" / unit)
        for file in ("etc/crictl.yaml", "etc/sysctl.d/10-network-security.conf", "etc/sysctl.d/10-network-magic.conf"):
            _copy(kind / file, root / file)
        _copy(FILES / "kubelet-defaults", root / "etc/default/kubelet")
        _copy(FILES / "containerd.service", root / "etc/systemd/system/containerd.service")
        for unit in ("claimed-volumes.path", "claimed-volumes.service"):
            _copy(FILES / unit, root / "etc/systemd/system" / unit)
        _copy(FILES / "10-bridge.conflist", root / "etc/cni/net.d/10-bridge.conflist")
        _copy(FILES / "default-cni.yaml", root / "kind/manifests/default-cni.yaml")
        _copy(FILES / "default-storage.yaml", root / "kind/manifests/default-storage.yaml")
        config = (FILES / "containerd-config.toml").read_text().replace("@PAUSE_IMAGE@", pause_image)
        (root / "etc/containerd").mkdir(parents=True, exist_ok=True)
        (root / "etc/containerd/config.toml").write_text(config)
        (root / "etc/kubernetes/manifests").mkdir(parents=True)
        for pattern in UNWANTED_UNITS:
            for unwanted in root.glob(pattern):
                unwanted.unlink()
        with (root / "etc/systemd/journald.conf").open("a") as journald:
            journald.write("ReadKMsg=no\n")
        _link(root / "sbin/init", "/usr/lib/systemd/systemd")
        _chroot(root, "systemctl", "--quiet", "enable", "kubelet", "containerd", "undo-mount-hacks", "claimed-volumes.path")
        _chroot(root, "systemctl", "--quiet", "mask", "systemd-binfmt.service")

    def _install_kubernetes(self, root: Path, programs: Path) -> None:
        _copy(programs / "kubernetes", root / "usr/bin/kubelet", 0o755)
        for program in ("kubectl", "kubeadm"):
            _link(root / "usr/bin" / program, "kubelet")
        (root / "kind/version").write_text(kubernetes_version())


def image_names(listed: str) -> dict[str, str]:
    """`kubeadm config images list` as a mapping from short names such as `pause` to full ones."""
    return {full.rpartition("/")[2].partition(":")[0]: full for full in listed.split()}


def control_plane_images(scratch: Path, root: Path, programs: Path, coredns: Path, names: Mapping[str, str]) -> Sequence[Image]:
    """The images that kubeadm asks for: one layer with one binary under five names, iptables for kube-proxy, CoreDNS and pause."""
    kubernetes, iptables, dns, pause = (scratch / layer for layer in ("kubernetes", "iptables", "coredns", "pause"))
    _copy(programs / "kubernetes", kubernetes / "usr/local/bin/kubernetes", 0o755)
    for program in CONTROL_PLANE_PROGRAMS:
        _link(kubernetes / "usr/local/bin" / program, "kubernetes")
    (kubernetes / "tmp").mkdir()
    _copy_iptables(root, iptables)
    _copy(coredns, dns / "coredns", 0o755)
    _copy(root / "usr/bin/catatonit", pause / "pause", 0o755)
    path = {"Env": ["PATH=/usr/local/bin:/usr/sbin"]}
    without_proxy = [names[program] for program in CONTROL_PLANE_PROGRAMS if program != "kube-proxy"]
    return (
        Image(without_proxy, [kubernetes], path),
        Image([names["kube-proxy"]], [kubernetes, iptables], path),
        Image([names["coredns"]], [dns], {"Entrypoint": ["/coredns"]}),
        Image([names["pause"]], [pause], {"Entrypoint": ["/pause", "-P"]}),
    )


def _copy_iptables(root: Path, layer: Path) -> None:
    """iptables and the libraries it loads, from the node's root file system."""
    for folder in ("usr/sbin", "usr/lib", "usr/lib64", "run", "etc"):
        (layer / folder).mkdir(parents=True)
    for link in ("lib", "lib64", "sbin"):
        _link(layer / link, f"usr/{link}")
    programs = sorted((root / "usr/sbin").glob("xtables-*-multi"))
    extensions = sorted((root / "usr/lib").glob("*/xtables/*.so"))
    if not programs or not extensions:
        raise ClusterError(f"The node's file system at {root} has no iptables.")
    inside = ["/" + str(file.relative_to(root)) for file in (*programs, *extensions)]
    libraries = shared_libraries(run(["chroot", root, "ldd", *inside], what="list iptables's libraries"))
    files = [*inside, *libraries]
    # Links are resolved inside the file system: an absolute one would lead to the machine's own libraries.
    resolved = run(["chroot", root, "readlink", "--canonicalize-existing", "--", *files], what="find iptables's libraries").split()
    for file, real in zip(files, resolved, strict=True):
        source = root / real.lstrip("/")
        _copy(source, _under_usr(layer, file), source.stat().st_mode & 0o777)
    for family in ("iptables", "ip6tables"):
        for tool in ("", "-save", "-restore"):
            _link(layer / "usr/sbin" / f"{family}{tool}", "xtables-nft-multi")


def shared_libraries(ldd_output: str) -> list[str]:
    """The absolute paths in ldd's output, each once."""
    found = (word for line in ldd_output.splitlines() if line.startswith("\t") for word in line.split() if word.startswith("/"))
    return sorted(set(found))


def _under_usr(layer: Path, file: str) -> Path:
    relative = file.lstrip("/")
    return layer / (relative if relative.startswith("usr/") else f"usr/{relative}")


def _copy(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _link(link: Path, target: str) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _chroot(root: Path, *argv: str) -> None:
    run(["chroot", root, *argv], what="set up the node's file system")
