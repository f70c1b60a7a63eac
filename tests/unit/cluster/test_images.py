"""Images: what a build depends on, and archives that are written here."""

import hashlib
import json
import tarfile
from pathlib import Path

from tests.cluster.cache import digest
from tests.cluster.images import context_inputs, copy_archive, default_base, parse_pip_config, pip_configuration
from tests.cluster.node_image import image_names, shared_libraries
from tests.cluster.oci import Image, write_archive


def test_a_build_depends_on_what_dockerignore_admits(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM base\n")
    (tmp_path / ".dockerignore").write_text("*\n!operator\n!pyproject.toml\n**/__pycache__\n")
    (tmp_path / "operator").mkdir()
    (tmp_path / "operator" / "a.py").write_text("1")
    (tmp_path / "notes").write_text("not in the image")

    def key() -> str:
        return digest(*context_inputs(tmp_path, tmp_path / "Dockerfile"))

    first = key()
    (tmp_path / "notes").write_text("changed")
    assert key() == first
    (tmp_path / "operator" / "a.py").write_text("2")
    changed = key()
    (tmp_path / "pyproject.toml").touch()
    assert len({first, changed, key()}) == 3


def test_without_dockerignore_a_build_depends_on_all_files(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM base\n")
    (tmp_path / "page").write_text("1")
    first = digest(*context_inputs(tmp_path, tmp_path / "Dockerfile"))
    (tmp_path / "page").write_text("2")
    assert digest(*context_inputs(tmp_path, tmp_path / "Dockerfile")) != first


def test_the_base_of_a_dockerfile_is_its_argument() -> None:
    assert default_base("# syntax\nARG BASE=python:3.13-slim\nFROM ${BASE}\n") == "python:3.13-slim"
    assert default_base("FROM scratch\n") is None


def test_a_build_gets_the_machines_way_to_packages_and_nothing_else() -> None:
    listed = (
        "global.index-url='https://packages.example/global'\n"
        ":env:.index-url='https://packages.example/env'\n"
        "global.trusted-host='packages.example'\n"
        ":env:.find-links='/opt/wheels'\n"
        "list.format='columns'\n"
    )
    settings = parse_pip_config(listed)
    assert settings == {"index-url": "https://packages.example/env", "trusted-host": "packages.example"}
    assert pip_configuration(settings).splitlines() == [
        "[global]",
        "index-url = https://packages.example/env",
        "trusted-host = packages.example",
        "cert = /etc/ssl/certs/ca-certificates.crt",
    ]


def test_an_archive_is_put_in_the_place_of_an_older_one(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "new" / "target"
    source.write_text("one")
    copy_archive(source, target)
    source.unlink()
    source.write_text("two")
    copy_archive(source, target)
    assert target.read_text() == "two"
    assert [file.name for file in target.parent.iterdir()] == ["target"]


def test_an_oci_archive_holds_shared_layers_once_and_every_name(tmp_path: Path) -> None:
    layer, other = tmp_path / "layer", tmp_path / "other"
    for folder in (layer, other):
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / folder.name).write_text(folder.name)
    archive = tmp_path / "images.tar"
    write_archive(archive, [Image(["localhost/a:1", "localhost/b:1"], [layer], {"Env": ["A=b"]}), Image(["localhost/c:2"], [layer, other])])
    with tarfile.open(archive) as tar:
        contents = {member.name: read(tar, member) for member in tar}
    index = json.loads(contents.pop("index.json"))
    contents.pop("oci-layout")
    assert [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]] == [
        "localhost/a:1",
        "localhost/b:1",
        "localhost/c:2",
    ]
    assert all(name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}" for name, content in contents.items())
    first, _, third = (json.loads(contents["blobs/" + entry["digest"].replace(":", "/")]) for entry in index["manifests"])
    assert third["layers"][0] == first["layers"][0]
    assert json.loads(contents["blobs/" + first["config"]["digest"].replace(":", "/")])["config"] == {"Env": ["A=b"]}
    assert len(contents) == 2 + 2 + 2, "layers, configurations, manifests"


def read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def test_image_names_are_found_by_their_short_names() -> None:
    listed = "registry.example/kube-apiserver:v1.35.4\nregistry.example/coredns/coredns:v1.13.1\nregistry.example/pause:3.10.1\n"
    names = image_names(listed)
    assert names["coredns"] == "registry.example/coredns/coredns:v1.13.1"
    assert set(names) == {"kube-apiserver", "coredns", "pause"}


def test_libraries_are_read_from_ldd() -> None:
    lines = ["linux-vdso.so.1 (0x00)", "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00)", "/lib64/ld-linux-x86-64.so.2 (0x00)"]
    assert shared_libraries("/usr/sbin/xtables-nft-multi:\n\t" + "\n\t".join(lines)) == [
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
    ]
