"""The assistant's side: at most one live reply in the conversation, begun by a turn or by the client."""

from mistral_voice.gateway.session import inputs
from mistral_voice.gateway.session.commands import PrepareSpeech
from mistral_voice.gateway.session.config import OutputModality, patched
from mistral_voice.gateway.session.context import Context
from mistral_voice.gateway.session.errors import Fault, Refused
from mistral_voice.gateway.session.events import StopReason
from mistral_voice.gateway.session.heard import SpokenSegment
from mistral_voice.gateway.session.inputs import ResponseOptions
from mistral_voice.gateway.session.messages import to_messages
from mistral_voice.gateway.session.reply import Reply, ReplySettings
from mistral_voice.gateway.session.turns import FinishedTurn
from mistral_voice.mistral.stream.chat_request import ChatRequest

MAX_SPOKEN_REMEMBERED = 20
"""Spoken items whose pieces and times are kept, for a client that truncates them."""


class Replies:
    """The live reply, and whether a finished turn still waits for one. `owed_since_ms` is when the newest such turn was committed."""

    def __init__(self, context: Context, cache_key: str) -> None:
        self._context = context
        self._cache_key = cache_key
        self._live: Reply | None = None
        self._owed_since_ms: float | None = None
        self._spoken: dict[str, tuple[SpokenSegment, ...]] = {}
        self._plays_until_ms: float | None = None
        self.voice_is_fixed = False

    @property
    def is_live(self) -> bool:
        """Whether a reply is being made."""
        return self._live is not None

    @property
    def is_owed(self) -> bool:
        """Whether a finished turn waits for its reply."""
        return self._owed_since_ms is not None

    @property
    def deadline_ms(self) -> float | None:
        """When the clock has something for the live reply."""
        return self._live.deadline_ms if self._live else None

    @property
    def live_item_id(self) -> str | None:
        """The id of the item that is being made, if any."""
        return self._live.item_id if self._live else None

    def spoken(self, item_id: str) -> tuple[SpokenSegment, ...]:
        """Return what was said of an item, piece by piece; empty if that isn't known."""
        if self._live is not None and self._live.item_id == item_id:
            return self._live.spoken
        return self._spoken.get(item_id, ())

    def create(self, options: ResponseOptions) -> None:
        """The client asks for a reply. Raises Refused if one is live or the options can't be."""
        if self._live is not None:
            raise Refused(
                "conversation_already_has_active_response",
                f"The conversation already has an active response: {self._live.id}. Wait until it is done, or cancel it.",
            )
        self._begin(self._settings(options), committed_ms=self._owed_since_ms)

    def cancel(self, response_id: str | None) -> None:
        """The client stops the live reply. Raises Refused if there is none, or another."""
        if self._live is None or response_id not in (None, self._live.id):
            raise Refused("response_cancel_not_active", "There is no active response to cancel.")
        self._live.cancel(StopReason.CLIENT_CANCELLED)

    def interrupt(self) -> None:
        """The caller speaks: the live reply stops."""
        if self._live is not None:
            self._live.cancel(StopReason.TURN_DETECTED)

    def drop(self) -> None:
        """The session ends: the live reply stops."""
        self._owed_since_ms = None
        if self._live is not None:
            self._live.cancel(None)

    def turn_finished(self, turn: FinishedTurn) -> None:
        """A turn's words are known: it may be owed a reply. A turn without words is owed none; one whose words got lost is told so."""
        if turn.fault is not None:
            self._fail_for(turn, turn.fault)
        elif turn.replies and turn.text:
            self._owed_since_ms = turn.committed_ms

    def advance(self, *, caller_speaks: bool, awaits_transcript: bool) -> None:
        """Go on as far as the present state allows: let the live reply end, begin the one that is owed, have a waiting one written."""
        self._advance_live()
        if self._owed_since_ms is not None and self._live is None and not caller_speaks and not awaits_transcript:
            self._begin(self._settings(ResponseOptions()), committed_ms=self._owed_since_ms)
        if self._live is not None and self._live.is_waiting and not awaits_transcript:
            self._generate(self._live)

    def reply_text(self, event: inputs.ReplyText) -> None:
        """More text came."""
        if (reply := self._named(event.response_id)) is not None:
            reply.text(event.text, self._context.now_ms)

    def reply_finished(self, event: inputs.ReplyFinished) -> None:
        """The text is complete."""
        if (reply := self._named(event.response_id)) is not None:
            reply.finish_text(event.finish_reason, event.usage)

    def reply_failed(self, event: inputs.ReplyFailed) -> None:
        """The text broke off."""
        if (reply := self._named(event.response_id)) is not None:
            reply.fail_text(event.fault)

    def speech_audio(self, event: inputs.SpeechAudio) -> None:
        """Audio came."""
        if (reply := self._named(event.response_id)) is not None:
            reply.audio(event.segment, event.audio)

    def speech_finished(self, event: inputs.SpeechFinished) -> None:
        """A segment has been spoken."""
        if (reply := self._named(event.response_id)) is not None:
            reply.finish_segment(event.segment, event.audio_tokens)

    def speech_failed(self, event: inputs.SpeechFailed) -> None:
        """The reply can't be spoken on."""
        if (reply := self._named(event.response_id)) is not None:
            reply.fail(event.fault)

    def _named(self, response_id: str) -> Reply | None:
        return self._live if self._live is not None and self._live.id == response_id else None

    def _advance_live(self) -> None:
        reply = self._live
        if reply is None:
            return
        reply.advance(self._context.now_ms)
        self.voice_is_fixed = self.voice_is_fixed or reply.has_audio
        if reply.is_done:
            self._live = None
            self._plays_until_ms = None if reply.was_cancelled else reply.plays_until_ms
            if reply.item_id is not None and reply.spoken:
                self._remember(reply.item_id, reply.spoken)

    def _remember(self, item_id: str, spoken: tuple[SpokenSegment, ...]) -> None:
        self._spoken[item_id] = spoken
        while len(self._spoken) > MAX_SPOKEN_REMEMBERED:
            del self._spoken[next(iter(self._spoken))]

    def _begin(self, settings: ReplySettings, committed_ms: float | None) -> Reply:
        context = self._context
        self._owed_since_ms = None
        self._live = Reply(settings, context.conversation, context.new_id, context.outbox, committed_ms, self._plays_until_ms)
        if settings.output is OutputModality.AUDIO:
            context.outbox.put(PrepareSpeech(settings.voice))
        self._live.announce()
        return self._live

    def _generate(self, reply: Reply) -> None:
        settings = reply.settings
        messages = to_messages(settings.system, self._context.conversation.items)
        reply.generate(ChatRequest(settings.model, messages, self._cache_key, settings.max_output_tokens), self._context.now_ms)

    def _fail_for(self, turn: FinishedTurn, fault: Fault) -> None:
        if self._live is not None:
            if self._live.is_waiting:
                self._live.fail(fault)
        elif turn.replies:
            self._begin(self._settings(ResponseOptions()), turn.committed_ms).fail(fault)

    def _settings(self, options: ResponseOptions) -> ReplySettings:
        context = self._context
        config, policy = context.config, context.policy
        voice = config.voice if options.voice is None else policy.resolve_voice(options.voice, "response.audio.output.voice")
        if self.voice_is_fixed and voice != config.voice:
            raise Refused(
                "cannot_update_voice",
                "The voice can't change once the assistant has spoken in this session.",
                "response.audio.output.voice",
            )
        instructions = config.instructions if options.instructions is None else options.instructions
        max_output_tokens = patched(config.max_output_tokens, options.max_output_tokens, None)
        for field, wanted in (("voice", voice), ("instructions", instructions), ("max_output_tokens", max_output_tokens)):
            policy.refuse_if_fixed(field, changed=wanted != getattr(config, field), param=f"response.{field}")
        return ReplySettings(
            model=config.model,
            voice=voice,
            system=policy.system_text(instructions),
            output=options.output or config.output,
            max_output_tokens=max_output_tokens,
            metadata=options.metadata,
            lead_ms=policy.lead_ms,
            audio_format=options.output_format or config.output_format,
        )
