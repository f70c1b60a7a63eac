"""The simulator's parts in one place. Nothing of it is global: a process may run several."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from aiohttp import web
from prometheus_client import Counter, Gauge

from mistral_voice.contract.secret import Secret
from mistral_voice.runtime.metrics import process_registry
from mistral_voice.simulator.catalogue import Catalogue, default_models
from mistral_voice.simulator.clock import Clock, SystemClock
from mistral_voice.simulator.dialect import Dialect
from mistral_voice.simulator.faults import FaultBook
from mistral_voice.simulator.keys import Key, KeyRing
from mistral_voice.simulator.recording import Recorder
from mistral_voice.simulator.script import ScriptBook
from mistral_voice.simulator.scripted.temperament import ScriptedTemperament
from mistral_voice.simulator.temperament import Temperament
from mistral_voice.simulator.tokens import ClientTokens
from mistral_voice.simulator.voices import VoiceBook, default_voices


class Metrics:
    """What the simulator counts."""

    def __init__(self) -> None:
        self.registry = process_registry()
        self.requests = Counter(
            "mistral_voice_simulator_requests",
            "Requests answered, by endpoint and HTTP status.",
            ["endpoint", "status"],
            registry=self.registry,
        )
        self.faults = Counter("mistral_voice_simulator_faults", "Faults that struck, by kind.", ["kind"], registry=self.registry)
        self.sockets = Gauge("mistral_voice_simulator_sockets", "Realtime sockets open now.", ["endpoint"], registry=self.registry)


@dataclass
class Simulator:
    """Everything a simulated Mistral knows."""

    clock: Clock
    temperament: Temperament
    keys: KeyRing
    catalogue: Catalogue
    voices: VoiceBook
    recorder: Recorder
    tokens: ClientTokens
    dialect: Dialect = field(default_factory=Dialect)
    scripts: ScriptBook = field(default_factory=ScriptBook)
    faults: FaultBook = field(default_factory=FaultBook)
    metrics: Metrics = field(default_factory=Metrics)
    sockets: set["OpenSocket"] = field(default_factory=set)
    max_sockets: int = 5_000
    admin_token: Secret | None = None

    def request_id(self) -> str:
        """Return a new request id."""
        return uuid4().hex


@dataclass(eq=False)
class OpenSocket:
    """A realtime socket that is open now."""

    endpoint: str
    key_id: str | None
    session: str | None
    websocket: web.WebSocketResponse
    request: web.Request

    def abort(self) -> None:
        """Reset the connection."""
        if self.request.transport is not None:
            self.request.transport.abort()


def new_simulator(
    *,
    clock: Clock | None = None,
    temperament: Temperament | None = None,
    keys: Sequence[Key] = (),
    dialect: Dialect | None = None,
    max_sockets: int = 5_000,
    admin_token: Secret | None = None,
) -> Simulator:
    """Return a simulator with the default catalogue and voices. Call it inside a running loop."""
    clock = clock or SystemClock()
    simulator = Simulator(
        clock=clock,
        temperament=temperament or ScriptedTemperament(clock),
        keys=KeyRing(clock),
        catalogue=Catalogue(clock),
        voices=VoiceBook(),
        recorder=Recorder(clock),
        tokens=ClientTokens(clock),
        dialect=dialect or Dialect(),
        max_sockets=max_sockets,
        admin_token=admin_token,
    )
    for key in keys:
        simulator.keys.put(key)
    for model in default_models():
        simulator.catalogue.put(model)
    for voice in default_voices():
        simulator.voices.put(voice)
    return simulator
