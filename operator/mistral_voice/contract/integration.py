"""ContractSpec's `ai-voice-conv.mistral`, version 1.0.0, as data.

Source: `packages/libs/contracts-spec/src/integrations/providers/mistral-conversational.ts` of ContractSpec. A test compares every value
with the copy of the seed in `tests/data`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class OwnershipMode(StrEnum):
    """Who owns the Mistral key: the tenant (`byok`) or the platform (`managed`)."""

    MANAGED = "managed"
    BYOK = "byok"


class TurnDetection(StrEnum):
    """How the end of a caller's turn is found: by voice activity on the server, or by the client's own commit."""

    SERVER_VAD = "server_vad"
    PUSH_TO_TALK = "push_to_talk"


@dataclass(frozen=True)
class Capability:
    """One capability that the integration provides, with its semantic version."""

    key: str
    version: str


@dataclass(frozen=True)
class HealthCheckSpec:
    """The contract's health check: a custom one, with one deadline in milliseconds over all of it."""

    method: str
    timeout_ms: int


@dataclass(frozen=True)
class IntegrationSpec:
    """An integration as ContractSpec describes it. Schemas and examples are JSON Schema documents, kept as they stand in the source."""

    key: str
    version: str
    category: str
    title: str
    description: str
    domain: str
    owners: tuple[str, ...]
    tags: tuple[str, ...]
    stability: str
    supported_modes: tuple[OwnershipMode, ...]
    provides: tuple[Capability, ...]
    config_schema: dict[str, Any] = field(repr=False)
    config_example: dict[str, Any] = field(repr=False)
    secret_schema: dict[str, Any] = field(repr=False)
    secret_example: dict[str, Any] = field(repr=False)
    health_check: HealthCheckSpec
    docs_url: str
    byok_setup_instructions: str


MISTRAL_CONVERSATIONAL: Final = IntegrationSpec(
    key="ai-voice-conv.mistral",
    version="1.0.0",
    category="ai-voice-conversational",
    title="Mistral Conversational Voice",
    description="Mistral conversational voice integration using conversation sessions and speech models for bidirectional interactions.",
    domain="ai",
    owners=("platform.ai",),
    tags=("voice", "conversational", "mistral", "agents", "sessions"),
    stability="experimental",
    supported_modes=(OwnershipMode.MANAGED, OwnershipMode.BYOK),
    provides=(Capability("ai.voice.conversational", "1.0.0"),),
    config_schema={
        "type": "object",
        "properties": {
            "model": {"type": "string", "description": "Mistral model used for response generation in conversational sessions."},
            "defaultVoice": {"type": "string", "description": "Default voice profile for agent responses."},
            "turnDetection": {
                "type": "string",
                "enum": ["server_vad", "push_to_talk"],
                "description": "Turn detection strategy used during live conversations.",
            },
            "maxSessionDurationSeconds": {"type": "number", "description": "Maximum allowed conversational session duration."},
        },
    },
    config_example={
        "model": "mistral-medium-latest",
        "defaultVoice": "default",
        "turnDetection": "server_vad",
        "maxSessionDurationSeconds": 600,
    },
    secret_schema={
        "type": "object",
        "required": ["apiKey"],
        "properties": {
            "apiKey": {"type": "string", "description": "Mistral API key with access to conversational and agent APIs."},
        },
    },
    secret_example={"apiKey": "mistral-***"},
    health_check=HealthCheckSpec(method="custom", timeout_ms=5000),
    docs_url="https://docs.mistral.ai/agents/agents",
    byok_setup_instructions=(
        "Create a Mistral API key, enable conversation-capable models for your account, and configure default turn detection settings."
    ),
)
