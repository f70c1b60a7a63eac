"""Where the parts of a session put what they want said and done; the session hands it out in order."""

from mistral_voice.gateway.session.commands import Command
from mistral_voice.gateway.session.events import Event

Output = Event | Command


class Outbox:
    """Collects events and commands in order."""

    def __init__(self) -> None:
        self._outputs: list[Output] = []

    def put(self, *outputs: Output) -> None:
        """Add outputs."""
        self._outputs.extend(outputs)

    def take(self) -> list[Output]:
        """Return all that has been put and begin anew."""
        taken, self._outputs = self._outputs, []
        return taken
