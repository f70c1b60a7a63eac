"""The clients under test, and how a program that uses one is started."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from tests.conformance.environment import REPOSITORY, environment


class Home(Enum):
    """Where a client is installed: with the project's own dependencies, as an npm package, or in an environment of its own."""

    PROJECT = auto()
    NODE = auto()
    OWN = auto()


@dataclass(frozen=True)
class Library:
    """A client library: its name as its users know it, and the driver that uses it as they would."""

    name: str
    driver: str
    home: Home
    tells_of_refusals: bool = True
    """Whether its user is told that a cancellation came too late."""

    def driver_command(self, folder: Path) -> list[str]:
        """Return the command that runs the driver. `folder` is an empty one to work in."""
        drivers = Path(__file__).parent / "drivers"
        if self.home is Home.NODE:
            for name in (f"{self.driver}.mjs", "stage.mjs"):
                (folder / name).write_bytes((drivers / name).read_bytes())
            return self.program_command(folder / f"{self.driver}.mjs")
        return [self._python(), "-m", f"tests.conformance.drivers.{self.driver}"]

    def program_command(self, program: Path) -> list[str]:
        """Return the command that runs a program which imports the library."""
        if self.home is not Home.NODE:
            return [self._python(), str(program)]
        modules = program.parent / "node_modules"
        if not modules.exists():
            modules.symlink_to(environment().node_modules())
        return ["node", str(program)]

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of such a program: those of this process, without what would let it reach beyond this machine."""
        kept = {name: value for name, value in environ.items() if name in ("PATH", "HOME", "LANG", "LC_ALL")}
        return {**kept, "PYTHONPATH": str(REPOSITORY), "OPENAI_AGENTS_DISABLE_TRACING": "1", "PYTHONUNBUFFERED": "1"}

    def _python(self) -> str:
        return sys.executable if self.home is Home.PROJECT else str(environment().python())


OPENAI = Library("openai", "openai_python", Home.PROJECT)
AGENTS_FOR_NODE = Library("@openai/agents-realtime", "agents_for_node", Home.NODE)
OPENAI_AGENTS = Library("openai-agents", "agents_for_python", Home.OWN)
PIPECAT = Library("pipecat-ai", "pipecat_service", Home.OWN, tells_of_refusals=False)
LIVEKIT = Library("livekit-agents", "livekit_session", Home.OWN, tells_of_refusals=False)

CORE = (OPENAI, AGENTS_FOR_NODE)
"""Those that `make test` runs."""
ALL = (*CORE, OPENAI_AGENTS, PIPECAT, LIVEKIT)
