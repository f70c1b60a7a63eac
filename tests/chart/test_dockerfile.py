"""The image's recipe, as far as it can be judged without building it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
GPL = ("piper-tts", "espeakng-loader")


def stages() -> dict[str, str]:
    """Return the text of each named stage."""
    parts = re.split(r"^FROM (\S+)(?: AS (\S+))?\n", DOCKERFILE, flags=re.MULTILINE)[1:]
    return {name or "(last)": f"FROM {base}\n{text}" for base, name, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)}


def sources(stage: str) -> set[str]:
    """Return the stages that a stage takes files from, directly or not."""
    text = stages()[stage]
    direct = set(re.findall(r"^FROM (\S+)", text)) | set(re.findall(r"--from=(\S+)", text))
    return direct | {further for name in direct & stages().keys() for further in sources(name)}


def test_the_gpl_voice_is_in_the_demo_and_nowhere_near_production() -> None:
    assert not any(package in (ROOT / "requirements.txt").read_text() for package in GPL)
    assert "live-voice" in sources("demo")
    assert "live-voice" not in sources("production")


def test_a_build_that_names_no_target_is_the_production_image() -> None:
    assert stages()["(last)"].splitlines() == ["FROM production"]
    assert list(stages())[-1] == "(last)"


def test_no_registry_is_named_and_the_base_is_an_argument() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert {base for base in bases if base not in stages()} == {"${BASE}"}
    assert re.search(r"^ARG BASE=python:3\.\d+-slim$", DOCKERFILE, re.MULTILINE)
    assert "://" not in DOCKERFILE


def test_every_package_comes_from_a_lock_with_hashes() -> None:
    installs = [
        command for command in re.findall(r"pip .*? install [^\\\n]*|pip install [^\\\n]*", DOCKERFILE) if "--no-deps" not in command
    ]
    assert installs
    assert all("--require-hashes" in command and "-r requirements" in command for command in installs)


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert "USER 65532:65532" in stages()["production"]
    assert "USER" not in stages()["demo"]
