"""Flags of a process's command line, each with a default from the environment."""

import argparse
import os
from collections.abc import Callable
from typing import Any


def add_flag(parser: argparse.ArgumentParser, name: str, default: object, kind: Callable[[str], Any], purpose: str) -> None:
    """Add `--name`; without it the variable `MISTRAL_VOICE_<NAME>` counts, then `default`. `kind` reads the text."""
    variable = "MISTRAL_VOICE_" + name.upper().replace("-", "_")
    parser.add_argument(f"--{name}", type=kind, default=os.environ.get(variable, str(default)), help=f"{purpose} (default: {default})")
