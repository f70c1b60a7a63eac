"""What the caller hears of the assistant, and when more of it is withheld for a moment."""

from mistral_voice.gateway.session.commands import BargedIn, Guard, Outcome
from mistral_voice.gateway.session.context import Context
from mistral_voice.gateway.session.heard import SpokenSegment, heard_text, sent_ms
from mistral_voice.gateway.session.overlap import Overlap
from mistral_voice.gateway.session.reply import Reply

LONGEST_HOLD_MS = 500.0
"""Audio is withheld at most so long for a mere suspicion: less than the lead, so that the caller doesn't notice."""
ECHO_TAIL_MS = 500.0
"""So long after the end of its playback the assistant may still echo: it is heard later than it is sent, and in a room."""
MAX_SPOKEN_REMEMBERED = 20
"""Spoken items whose pieces and times are kept, for a client that truncates them."""


class Playback:
    """Knows the reply that the caller hears, from its first audio to the end of its echo, and what was said of each spoken item."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._reply: Reply | None = None
        self._plays_until_ms: float | None = None
        self._said: dict[str, tuple[SpokenSegment, ...]] = {}
        self._told: dict[str, float] = {}
        self._withheld_until_ms: float | None = None
        self._guarded = False

    @property
    def reply(self) -> Reply | None:
        """The reply that is being heard, or may still echo."""
        return self._reply

    @property
    def plays_until_ms(self) -> float | None:
        """When all audio that was sent will have been heard, or has been; None if nothing was, or the caller has cut it short."""
        return self._plays_until_ms

    @property
    def is_withheld(self) -> bool:
        """Whether no audio may go out."""
        return self._withheld_until_ms is not None

    @property
    def deadline_ms(self) -> float | None:
        """When the clock has something for the playback."""
        guarded_until = None if self._plays_until_ms is None or not self._guarded else self._plays_until_ms + ECHO_TAIL_MS
        return min((at for at in (self._withheld_until_ms, guarded_until) if at is not None), default=None)

    def spoken(self, item_id: str) -> tuple[SpokenSegment, ...]:
        """Return what was said of an item, piece by piece; empty if that isn't known."""
        if self._reply is not None and self._reply.item_id == item_id:
            return self._reply.spoken
        return self._said.get(item_id, ())

    def heard(self) -> Overlap | None:
        """Return what is being heard, and how much of it; None if the assistant is silent."""
        reply = self._reply
        if reply is None or reply.item_id is None or reply.plays_until_ms is None:
            return None
        unheard_ms = max(0.0, reply.plays_until_ms - self._context.now_ms)
        return Overlap(reply.item_id, max(0.0, sent_ms(reply.spoken) - unheard_ms))

    def truncated(self, item_id: str, heard_ms: float) -> None:
        """The client has told how much of an item was heard, and knows better than we do."""
        self._told[item_id] = heard_ms
        self._cut(item_id, heard_ms)

    def follow(self, reply: Reply) -> None:
        """A reply has gone on: from its first audio on it is the one that is heard."""
        if reply.has_audio:
            self._reply, self._plays_until_ms = reply, reply.plays_until_ms

    def over(self, reply: Reply) -> None:
        """A reply has ended. What can't have been heard of it leaves the conversation, unless the client tells otherwise."""
        item_id = reply.item_id
        if item_id is None or not reply.spoken:
            return
        self._remember(item_id, reply.spoken)
        if (told_ms := self._told.get(item_id)) is not None:
            self._cut(item_id, told_ms)
        elif reply.was_cancelled:
            heard = self.heard()
            self._cut(item_id, heard.heard_ms if heard and heard.item_id == item_id else 0.0)
        elif reply.has_failed:
            self._cut(item_id, sent_ms(reply.spoken))
        if reply.was_cancelled:
            self._reply = self._plays_until_ms = None

    def stop(self) -> None:
        """The caller has taken the word while the end of a reply was being heard: the rest was not."""
        heard = self.heard()
        if heard is not None and heard.item_id not in self._told:
            self._cut(heard.item_id, heard.heard_ms)
        self._reply = self._plays_until_ms = None

    def withhold(self) -> None:
        """The caller may be beginning to speak: nothing goes out until that is known."""
        self._withheld_until_ms = self._context.now_ms + LONGEST_HOLD_MS

    def go_on(self, *, dismissed: bool = False) -> None:
        """It is known; what was withheld may go out. `dismissed`: the caller had not begun."""
        if dismissed and self.is_withheld and self._guarded:
            self._context.outbox.put(BargedIn(Outcome.DISMISSED))
        self._withheld_until_ms = None

    def expire(self) -> None:
        """Let a hold end that has lasted too long."""
        if self._withheld_until_ms is not None and self._withheld_until_ms <= self._context.now_ms:
            self._withheld_until_ms = None

    def tell_detection(self) -> None:
        """Let detection know when the assistant begins to be heard, and when its echo has died away."""
        now_ms = self._context.now_ms
        guarded = self._plays_until_ms is not None and now_ms < self._plays_until_ms + ECHO_TAIL_MS
        if not guarded and self._reply is not None and self._reply.is_done:
            self._reply = None
        if guarded is not self._guarded:
            self._guarded = guarded
            self._context.outbox.put(Guard(guarded))

    def _cut(self, item_id: str, heard_ms: float) -> None:
        self._context.conversation.set_text(item_id, 0, heard_text(self.spoken(item_id), heard_ms))

    def _remember(self, item_id: str, spoken: tuple[SpokenSegment, ...]) -> None:
        self._said[item_id] = spoken
        while len(self._said) > MAX_SPOKEN_REMEMBERED:
            forgotten = next(iter(self._said))
            del self._said[forgotten]
            self._told.pop(forgotten, None)
