"""The file `gateway.json`: what the operator tells a session gateway. Names are camelCase on the wire.

The gateway starts within a second and carries no Pydantic, so these are msgspec structures. Fields that it doesn't know it passes over: the
file is rewritten in place, so while an upgrade goes on a pod of the former version may start again with the file of the new one.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

TRANSCRIPTION_MODEL: Final = "voxtral-mini-transcribe-realtime-latest"
SPEECH_MODEL: Final = "voxtral-mini-tts-latest"
PositiveInt = Annotated[int, Meta(ge=1)]


class Integration(Struct, frozen=True, rename="camel"):
    """Which integration the gateway serves: the labels of its metrics and logs."""

    namespace: str
    name: str
    mode: Literal["byok", "managed"] = "byok"


class Upstream(Struct, frozen=True, rename="camel"):
    """The way to Mistral: the base URL without `/v1` (https, or http for a simulator) and the credential file, re-read when it changes.

    `ca_bundle_file` is a PEM file that replaces the system's certificate authorities. The two models are those of speech, beside the
    chat model.
    """

    base_url: str
    credential_file: str
    ca_bundle_file: str | None = None
    transcription_model: str = TRANSCRIPTION_MODEL
    speech_model: str = SPEECH_MODEL


class SessionDefaults(Struct, frozen=True, rename="camel"):
    """The integration's config, with `default` already resolved to a voice's id."""

    model: str
    voice: str
    turn_detection: Literal["server_vad", "push_to_talk"]
    max_session_duration_seconds: PositiveInt


class Policy(Struct, frozen=True, rename="camel"):
    """What a client may choose.

    An empty `allowed_models` or `allowed_voices` means: only the integration's own. Empty origins mean: no browser.
    """

    allowed_models: tuple[str, ...] = ()
    allowed_voices: tuple[str, ...] = ()
    instructions: str = ""
    allowed_origins: tuple[str, ...] = ()
    playground: bool = False
    resume_after_false_interruption: bool = True


class Limits(Struct, frozen=True, rename="camel"):
    """Bounds of one pod: live sessions, how long a drain may let them run on (seconds), and the size of a client's message.

    `node_grace_seconds`: the node may kill the pod so long after SIGTERM, however long a grace period it asks for.
    """

    max_sessions: PositiveInt
    drain_timeout_seconds: Annotated[int, Meta(ge=0)]
    max_message_bytes: Annotated[int, Meta(ge=65_536, le=16_777_216)] = 1_048_576
    node_grace_seconds: PositiveInt | None = None


class GatewayConfig(Struct, frozen=True, rename="camel"):
    """All that a gateway is told. Directories are those of its mounts; `tls_directory` is set when it serves TLS (`tls.crt`, `tls.key`).

    `tracing_endpoint` is the base URL of a collector that takes traces as OTLP over HTTP.
    """

    integration: Integration
    upstream: Upstream
    session: SessionDefaults
    limits: Limits
    client_token_directory: str
    policy: Policy = Policy()
    tls_directory: str | None = None
    tracing_endpoint: str | None = None


class GatewayConfigError(ValueError):
    """`gateway.json` can't be used; the text says what and where."""


def encode(config: GatewayConfig) -> str:
    """Return the configuration as JSON, sorted and indented, the same text for the same configuration."""
    return msgspec.json.format(msgspec.json.encode(config, order="sorted"), indent=2).decode() + "\n"


def decode(text: bytes) -> GatewayConfig:
    """Parse `gateway.json`. Raises GatewayConfigError with the place of the first fault."""
    try:
        return msgspec.json.decode(text, type=GatewayConfig)
    except msgspec.DecodeError as error:
        raise GatewayConfigError(
            f"gateway.json can't be used: {error}. The operator writes this file; run the same version of both."
        ) from error
