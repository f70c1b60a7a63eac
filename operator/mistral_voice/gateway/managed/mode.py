"""What the sessions of a managed integration have beyond those that use their own key."""

from dataclasses import dataclass, replace

from aiohttp import WSCloseCode
from msgspec import structs

from mistral_voice.contract.gateway_config import GatewayConfig
from mistral_voice.contract.lease import Open, Opened, Refusal, RefusalReason
from mistral_voice.gateway.connection import Surroundings
from mistral_voice.gateway.credential import Credential
from mistral_voice.gateway.managed.session_line import LineClient, SessionLine
from mistral_voice.gateway.protocol.server_events import EventWriter
from mistral_voice.gateway.session.events import ErrorOccurred
from mistral_voice.gateway.session.policy import SessionPolicy
from mistral_voice.gateway.settings import Settings
from mistral_voice.gateway.upstream.speech_sockets import SpeechSockets
from mistral_voice.mistral.stream.client import Http

SPARES = 1
"""Speech sockets that a session keeps open ahead of its replies: each belongs to the session's own ticket."""


@dataclass(frozen=True)
class ManagedMode:
    """Opens lines and makes of the gateway's surroundings a session's."""

    http: Http
    config: GatewayConfig
    token: Credential
    settings: Settings

    def line(self, session_id: str, policy: SessionPolicy, surroundings: Surroundings) -> SessionLine:
        """Return the line for a session; it isn't open yet."""
        wanted = Open(session_id, 1, policy.model, policy.voice, policy.transcription_model, policy.speech_model)
        return SessionLine(self.http, self.config.upstream.base_url, self.token.key, wanted, surroundings.clock)

    def surroundings(self, shared: Surroundings, line: SessionLine) -> Surroundings:
        """Return a session's own surroundings."""
        client = LineClient(self.http, line, self.token.key, shared.client)
        spares = min(SPARES, self.settings.speech_spares)
        speech = SpeechSockets(client, shared.speech.model, shared.metrics, spares, shared.speech.transport)
        return replace(shared, client=client, speech=speech)

    @staticmethod
    def policy(policy: SessionPolicy, opened: Opened) -> SessionPolicy:
        """Return the policy of a session whose plan may end it sooner than its integration would."""
        if opened.ends_in_seconds is None:
            return policy
        return structs.replace(policy, max_duration_ms=max(1, min(policy.max_duration_ms, opened.ends_in_seconds * 1000)))


class OpeningSession:
    """A session whose line is being opened. It counts as one already, and a drain has nothing to ask of it."""

    def drain(self, within_seconds: float) -> None:
        """Nothing is under way."""


def refusal_event(session_id: str, refusal: Refusal) -> bytes:
    """Return the error event by which a client hears why there is no session."""
    writer = EventWriter(session_id.removeprefix("sess_")[:8] + "_")
    wait = f" Try again in {refusal.retry_after_seconds} s." if refusal.retry_after_seconds else ""
    return writer.write(ErrorOccurred(code_of(refusal.reason), refusal.message + wait))


def code_of(reason: RefusalReason) -> str:
    """Return a reason as the code of an error event: `SpendExhausted` is `managed_spend_exhausted`."""
    return "managed" + "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in reason.value)


def close_code_of(refusal: Refusal) -> int:
    """Return how the connection is closed: 1013 where trying again later may help, else 1008."""
    return WSCloseCode.TRY_AGAIN_LATER if refusal.retry_after_seconds is not None else WSCloseCode.POLICY_VIOLATION
