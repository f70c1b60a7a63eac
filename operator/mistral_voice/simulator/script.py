"""What a scripted simulator hears, answers and says, and when. Scripts belong to a key, to a session, or to everybody else."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec


class _Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all parts of a script share: unknown fields are refused."""


class Listening(StrEnum):
    """How the scripted ear finds out that a turn is being spoken."""

    ENERGY = "energy"
    """By the loudness of the audio received."""
    OFFSETS = "offsets"
    """By each turn's `start_ms` and `end_ms` on the session's audio, whatever it holds."""
    ANYTHING = "anything"
    """Any audio since the last flush is a turn; it ends with `input_audio.flush` or `end` alone."""


class DeltaScript(_Script, frozen=True):
    """A piece of transcript: `text`, given out once `at_ms` of audio have come since the turn's start."""

    text: str
    at_ms: int = 0


class TurnScript(_Script, frozen=True):
    """One spoken turn and what is heard in it.

    Without `deltas` the text is cut at its words: one word for each `word_ms` of audio, the rest when the turn ends (with 0: all of it).
    The offsets serve `Listening.OFFSETS` alone, in ms of audio since the session's first sample.
    """

    text: str = "Hello simulator."
    language: str | None = "en"
    deltas: tuple[DeltaScript, ...] = ()
    word_ms: int = 0
    final_delay_ms: int = 0
    """Time between the end of the turn and its last words, on the clock."""
    text_after_end: bool = False
    """Whether the last words come after `turn.end` instead of before it."""
    waits_for_words: bool = False
    """Whether silence ends the turn only when all words but the last are due: a pause for thought is no end. With `Listening.ENERGY`."""
    start_ms: int | None = None
    eager_end_ms: int | None = None
    resume_ms: int | None = None
    end_ms: int | None = None
    end_reason: str = "threshold"


class TranscriptionScript(_Script, frozen=True):
    """What realtime transcription hears.

    Every connection hears `turns` from the first on, and again when they are used up; or, if `conversations` is set, the first connection
    hears the first of these lists, the second the second, and so on.
    """

    listening: Listening = Listening.ENERGY
    turns: tuple[TurnScript, ...] = (TurnScript(),)
    conversations: tuple[tuple[TurnScript, ...], ...] = ()
    repeat: bool = True
    threshold_dbfs: float = -45.0
    """Audio louder than this is speech."""
    start_ms: int = 60
    """Speech this long starts a turn."""
    eager_end_ms: int = 200
    """Silence this long within a turn gives `turn.eager_end`; the turn ends after the session's `min_silence_ms`."""


class ToolCallScript(_Script, frozen=True):
    """A tool call of a reply; without `id` one is made as Mistral makes them.

    With `pieces` a stream gives the arguments out piece by piece, one every `token_ms` of the reply, instead of `arguments` at once.
    """

    name: str
    arguments: str = "{}"
    id: str | None = None
    pieces: tuple[str, ...] = ()

    @property
    def whole_arguments(self) -> str:
        """All of the arguments."""
        return "".join(self.pieces) or self.arguments


class ReplyScript(_Script, frozen=True):
    """One chat reply. `{user}` in `text` stands for the last user message, `{result}` for the last result of a tool.

    `when` is a regular expression searched for in the last message, the user's or a tool's result: a reply with one is used whenever it
    matches, the others in turn.
    """

    text: str | None = None
    """None: "You said: {user}", or nothing if there are tool calls."""
    when: str | None = None
    tokens: tuple[str, ...] = ()
    """The pieces to send instead of `text` cut before its spaces."""
    first_token_ms: int = 0
    token_ms: int = 0
    thinking: str | None = None
    """Sent first, as a chunk of type `thinking` in list content."""
    content_as_list: bool = False
    """Whether text too is sent as list content."""
    tool_calls: tuple[ToolCallScript, ...] = ()
    finish_reason: str | None = None

    def __post_init__(self) -> None:
        if self.when is not None:
            try:
                re.compile(self.when)
            except re.error as error:
                raise ValueError(f"`when` is no regular expression: {error}") from error


class ChatScript(_Script, frozen=True):
    """What chat answers."""

    replies: tuple[ReplyScript, ...] = (ReplyScript(),)


class SpeechScript(_Script, frozen=True):
    """How speech sounds: a tone whose length follows the text's and whose pitch shows whose reply it is.

    `tone_hz` fixes the pitch (a multiple of 50 Hz); else it follows from the text, see `scripted.tone.tone_hz`.
    """

    first_audio_ms: int = 0
    first_audio_in_turn_ms: tuple[int, ...] = ()
    """Instead: one for each text that is spoken, in turn."""
    ms_per_character: int = 60
    chunk_ms: int = 100
    speed: float = 0.0
    """Speech is given out this many times faster than it plays; 0: at once."""
    tone_hz: int | None = None
    amplitude: float = 0.3
    unasked_ms: int = 0
    """A realtime socket sends so much audio that nobody asked for, once its voice is set."""
    late_ms: int = 0
    """A realtime socket sends so much more audio of a text after its `speech.audio.done`."""
    canned: dict[str, str] = {}
    """By response format, audio in base64 to answer with instead: the only way to get mp3, flac or opus."""

    def __post_init__(self) -> None:
        if self.tone_hz is not None and (self.tone_hz % 50 or not 50 <= self.tone_hz <= 7000):
            raise ValueError("`tone_hz` must be a multiple of 50 from 50 to 7000.")
        if self.chunk_ms % 20 or not 20 <= self.chunk_ms <= 5000:
            raise ValueError("`chunk_ms` must be a multiple of 20 from 20 to 5000.")


class Script(_Script, frozen=True):
    """One whole script."""

    transcription: TranscriptionScript = msgspec.field(default_factory=TranscriptionScript)
    chat: ChatScript = msgspec.field(default_factory=ChatScript)
    speech: SpeechScript = msgspec.field(default_factory=SpeechScript)


@dataclass
class ScriptInUse:
    """A script and how far it has been played."""

    script: Script
    connections: int = 0
    texts_spoken: int = 0
    replies: dict[str | None, int] = field(default_factory=dict)

    def next_conversation(self) -> tuple[TurnScript, ...]:
        """Return the turns that the next transcription connection hears."""
        number = self.connections
        self.connections += 1
        conversations = self.script.transcription.conversations
        if not conversations:
            return self.script.transcription.turns
        return conversations[min(number, len(conversations) - 1)]

    def next_first_audio_ms(self) -> int:
        """Return how long the next text's first audio takes."""
        number = self.texts_spoken
        self.texts_spoken += 1
        in_turn = self.script.speech.first_audio_in_turn_ms
        return in_turn[number % len(in_turn)] if in_turn else self.script.speech.first_audio_ms

    def next_reply(self, last: str, session: str | None) -> ReplyScript:
        """Return the reply to this last message: the first whose `when` matches, else the session's next one of those without `when`."""
        in_turn = []
        for reply in self.script.chat.replies:
            if reply.when is None:
                in_turn.append(reply)
            elif re.search(reply.when, last, re.IGNORECASE):
                return reply
        if not in_turn:
            return ReplyScript()
        number = self.replies.get(session, 0)
        if session in self.replies or len(self.replies) < _MAX_COUNTED_SESSIONS:
            self.replies[session] = number + 1
        return in_turn[number % len(in_turn)]


_MAX_COUNTED_SESSIONS = 10_000


@dataclass
class ScriptBook:
    """Which script is played for whom: a session's own, else its key's, else the default."""

    default: ScriptInUse = field(default_factory=lambda: ScriptInUse(Script()))
    by_key: dict[str, ScriptInUse] = field(default_factory=dict)
    by_session: dict[str, ScriptInUse] = field(default_factory=dict)

    def find(self, key_id: str | None, session: str | None) -> ScriptInUse:
        """Return the script for this key and session."""
        if session is not None and session in self.by_session:
            return self.by_session[session]
        if key_id is not None and key_id in self.by_key:
            return self.by_key[key_id]
        return self.default


def parse_script(body: bytes | str) -> Script:
    """Return the script that this JSON describes. Raises ValueError (msgspec.ValidationError) with a sentence about the wrong field."""
    return msgspec.json.decode(body, type=Script)


def script_json(script: Script) -> Any:
    """Return a script as plain JSON data."""
    return msgspec.to_builtins(script)
