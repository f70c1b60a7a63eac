"""What an integration offers its clients, and how the names that clients bring map to it.

The custom resource is the policy: a client narrows it, never widens it. Names of OpenAI's models and voices, which most clients send
unasked, stand for the integration's own.
"""

from collections.abc import Sequence

from msgspec import UNSET, Struct, structs

from mistral_voice.contract.gateway_config import GatewayConfig
from mistral_voice.gateway.session.config import (
    OutputModality,
    ServerVad,
    SessionConfig,
    SessionPatch,
    SessionType,
    TurnDetection,
    merge,
)
from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.names import Named
from mistral_voice.gateway.session.playout import LEAD_MS
from mistral_voice.mistral.stream.chat_request import ChatTool, OneTool, ToolChoice

DEFAULT_INSTRUCTIONS = (
    "You are a helpful voice assistant. You hear the caller and your answer is spoken aloud: answer briefly, in plain sentences, "
    "without lists, headings or other markup, in the caller's language."
)
"""Used when neither the integration nor the client gives instructions; shown in `session.created`."""

MAX_INSTRUCTIONS = 100_000
"""Characters of a client's instructions."""
SHORTEST_IDLE_MS, LONGEST_IDLE_MS = 1000, 3_600_000
"""Silence of a caller after which the assistant may speak again."""
MAX_TOOLS = 128
"""Functions that a session may offer to the model."""
MAX_TOOL_BYTES = 256 * 1024
"""Schemas of all of them."""
_BINDING = ("type", "model", "voice", "instructions", "max_output_tokens", "tools", "tool_choice")
"""Settings that a client secret fixes if it names them. The others are where its sessions begin."""
_PATHS = {"voice": "session.audio.output.voice"}


class SessionPolicy(Struct, frozen=True):
    """What a session may be. `models` and `voices` may be named beside OpenAI's names; `instructions` come before the client's.

    `beginning` is what sessions begin with instead of the integration's defaults, and `fixed` the settings that their clients can't change:
    both come from a client secret. `lead_ms` is how far ahead of its playback audio goes to the client.
    """

    model: str
    voice: str
    models: frozenset[str]
    voices: frozenset[str]
    instructions: str
    manual_turns_only: bool
    max_duration_ms: int
    transcription_model: str
    speech_model: str
    resume_after_false_interruption: bool = True
    lead_ms: float = LEAD_MS
    beginning: SessionConfig | None = None
    fixed: frozenset[str] = frozenset()

    def beginning_with(self, patch: SessionPatch) -> "SessionPolicy":
        """Return the policy for the holders of a secret that was made with this patch. Raises Refused if it asks for what isn't offered."""
        fixed = frozenset(field for field in _BINDING if getattr(patch, field, UNSET) is not UNSET)
        return structs.replace(self, beginning=self.apply(self.defaults(), patch), fixed=fixed)

    def resolve_model(self, name: str, param: str = "session.model") -> str:
        """Return the model that a client's name stands for. Raises Refused if the integration doesn't offer it."""
        if name in self.models:
            return name
        if Named.MODEL.stands_for_own(name):
            return self.model
        raise Refused("model_not_allowed", f"This integration doesn't offer the model {name!r}; it offers {_listed(self.models)}.", param)

    def resolve_voice(self, name: str, param: str = "session.audio.output.voice") -> str:
        """Return the voice that a client's name stands for. Raises Refused if the integration doesn't offer it."""
        if name in self.voices:
            return name
        if Named.VOICE.stands_for_own(name):
            return self.voice
        raise Refused("voice_not_allowed", f"This integration doesn't offer the voice {name!r}; it offers {_listed(self.voices)}.", param)

    def defaults(self) -> SessionConfig:
        """Return the settings of a session whose client has asked for nothing."""
        return self.beginning or SessionConfig(
            model=self.model,
            voice=self.voice,
            instructions="" if self.instructions else DEFAULT_INSTRUCTIONS,
            output=OutputModality.AUDIO,
            turn_detection=self._default_turn_detection(),
        )

    def apply(self, present: SessionConfig, patch: SessionPatch) -> SessionConfig:
        """Return the settings after a client's update. Raises Refused, and nothing has changed, if the integration forbids a part of it."""
        resolved = patch
        if isinstance(patch.model, str):
            resolved = structs.replace(resolved, model=self.resolve_model(patch.model))
        if isinstance(patch.voice, str):
            resolved = structs.replace(resolved, voice=self.resolve_voice(patch.voice))
        if present.type is SessionType.TRANSCRIPTION and patch.type is SessionType.REALTIME:
            present = self.defaults()
        merged = merge(present, resolved, self.defaults())
        if self.manual_turns_only and merged.turn_detection is not None:
            raise Refused(
                "turn_detection_not_allowed",
                "This integration is push to talk: its turns are committed by the client. Send `turn_detection: null`.",
                "session.audio.input.turn_detection",
            )
        _check(merged)
        for field in self.fixed:
            self.refuse_if_fixed(
                field, changed=getattr(merged, field) != getattr(present, field), param=_PATHS.get(field, f"session.{field}")
            )
        return merged

    def refuse_if_fixed(self, field: str, *, changed: bool, param: str) -> None:
        """Raise Refused if a setting was changed that the client's secret fixes."""
        if changed and field in self.fixed:
            message = f"The client secret of this session fixes `{field}`: leave it out, or send the value in force."
            raise Refused("fixed_by_client_secret", message, param)

    def refuse_system_message(self, *, is_one: bool, param: str) -> None:
        """Raise Refused for a system message that would speak beside instructions which the client's secret fixes."""
        if is_one and "instructions" in self.fixed:
            message = "The client secret of this session fixes `instructions`, beside which no system message may stand: leave it out."
            raise Refused("fixed_by_client_secret", message, param)

    def system_text(self, client_instructions: str) -> str:
        """Return the system message: the integration's instructions, then the client's."""
        return "\n\n".join(text for text in (self.instructions.strip(), client_instructions.strip()) if text)

    def _default_turn_detection(self) -> TurnDetection:
        return None if self.manual_turns_only else ServerVad()


def policy_of(config: GatewayConfig) -> SessionPolicy:
    """Return the policy that `gateway.json` states."""
    session, policy = config.session, config.policy
    return SessionPolicy(
        model=session.model,
        voice=session.voice,
        models=frozenset({session.model, *policy.allowed_models}),
        voices=frozenset({session.voice, *policy.allowed_voices}),
        instructions=policy.instructions,
        manual_turns_only=session.turn_detection == "push_to_talk",
        max_duration_ms=session.max_session_duration_seconds * 1000,
        transcription_model=config.upstream.transcription_model,
        speech_model=config.upstream.speech_model,
        resume_after_false_interruption=policy.resume_after_false_interruption,
    )


def _check(config: SessionConfig) -> None:
    check_words(config.instructions, config.max_output_tokens, "session")
    check_tools(config.tools, config.tool_choice, "session")
    vad = config.turn_detection
    if not isinstance(vad, ServerVad):
        return
    for field, low, high in (("threshold", 0.0, 1.0), ("prefix_padding_ms", 0, 5000), ("silence_duration_ms", 100, 10_000)):
        if not low <= getattr(vad, field) <= high:
            raise Refused("invalid_value", f"`{field}` must be from {low} to {high}.", f"session.audio.input.turn_detection.{field}")
    if vad.idle_timeout_ms is not None and not SHORTEST_IDLE_MS <= vad.idle_timeout_ms <= LONGEST_IDLE_MS:
        message = f"`idle_timeout_ms` must be from {SHORTEST_IDLE_MS} to {LONGEST_IDLE_MS}, or null."
        raise Refused("invalid_value", message, "session.audio.input.turn_detection.idle_timeout_ms")


def check_words(instructions: str, max_output_tokens: int | None, param: str) -> None:
    """Raise Refused if the instructions are too long or the limit is none; `param` is what holds them."""
    if max_output_tokens is not None and not 1 <= max_output_tokens <= 4096:
        raise Refused("invalid_value", '`max_output_tokens` must be a number from 1 to 4096, or "inf".', f"{param}.max_output_tokens")
    if len(instructions) > MAX_INSTRUCTIONS:
        raise Refused("invalid_value", f"`instructions` may have at most {MAX_INSTRUCTIONS} characters.", f"{param}.instructions")


def check_tools(tools: Sequence[ChatTool], choice: ToolChoice, param: str) -> None:
    """Raise Refused if these tools can't be offered, or one is chosen that isn't among them; `param` is what holds them."""
    names = {tool.name for tool in tools}
    if len(tools) > MAX_TOOLS or sum(len(bytes(tool.parameters)) for tool in tools) > MAX_TOOL_BYTES:
        raise Refused("invalid_value", f"At most {MAX_TOOLS} tools, with {MAX_TOOL_BYTES} bytes of schemas.", f"{param}.tools")
    if len(names) < len(tools):
        raise Refused("invalid_value", "Two tools have the same name.", f"{param}.tools")
    if isinstance(choice, OneTool) and choice.name not in names:
        raise Refused("invalid_value", f"There is no tool {choice.name!r} to choose.", f"{param}.tool_choice")


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
