"""Container images written as an OCI archive: https://github.com/opencontainers/image-spec/blob/main/image-layout.md"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """An image to write.

    Attributes:
        names: full references, such as `localhost/app:1`.
        layers: folders whose contents lie over each other, the first at the bottom; equal folders are stored once.
        config: the `config` of the image's configuration: `Env`, `Entrypoint`, …
    """

    names: Sequence[str]
    layers: Sequence[Path]
    config: Mapping[str, Any] = field(default_factory=dict)


def write_archive(archive: Path, images: Sequence[Image]) -> None:
    """Write `images` as one uncompressed OCI archive that containerd, podman and `kind load image-archive` read."""
    with tarfile.open(archive, "w") as out:
        writer = _Writer(out, archive.parent)
        manifests = [writer.image(image, name) for image in images for name in image.names]
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
        writer.file("index.json", json.dumps(index).encode())
        writer.file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')


class _Writer:
    def __init__(self, out: tarfile.TarFile, scratch: Path) -> None:
        self._out = out
        self._scratch = scratch
        self._layers: dict[Path, dict[str, Any]] = {}
        self._blobs: set[str] = set()

    def image(self, image: Image, name: str) -> dict[str, Any]:
        layers = [self._layer(folder) for folder in image.layers]
        config = {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": dict(image.config),
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self._blob(config, "application/vnd.oci.image.config.v1+json"),
            "layers": layers,
        }
        descriptor = self._blob(manifest, "application/vnd.oci.image.manifest.v1+json")
        tag = name.rpartition(":")[2]
        return {**descriptor, "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}}

    def file(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        self._out.addfile(entry, io.BytesIO(content))

    def _blob(self, value: Mapping[str, Any], media_type: str) -> dict[str, Any]:
        content = json.dumps(value, sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._blobs:
            self._blobs.add(digest)
            self.file(f"blobs/sha256/{digest}", content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def _layer(self, folder: Path) -> dict[str, Any]:
        if folder not in self._layers:
            tar = self._scratch / f".layer-{len(self._layers)}.tar"
            with tarfile.open(tar, "w") as layer:
                for entry in sorted(folder.iterdir()):
                    layer.add(entry, arcname=entry.name, filter=_owned_by_root)
            with tar.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            self._out.add(tar, arcname=f"blobs/sha256/{digest}")
            descriptor = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{digest}", "size": tar.stat().st_size}
            self._layers[folder] = descriptor
            tar.unlink()
        return self._layers[folder]


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry
