"""Speculation: the reply to a turn that seems to be over is begun before it is, and nobody learns of it unless its words stay. Pure."""

import unicodedata

from msgspec import Struct

from mistral_voice.gateway.session.commands import DropSpeculation, Speculate, Speculated
from mistral_voice.gateway.session.context import Context
from mistral_voice.gateway.session.inputs import ReplyCall, ReplyFailed, ReplyFinished, ReplyText, ResponseOptions, Usage
from mistral_voice.gateway.session.items import Message, Part, PartKind, Role
from mistral_voice.gateway.session.reply_plan import ReplySettings, plan, request
from mistral_voice.mistral.stream.chat_request import ChatRequest

MAX_PER_TURN = 3
"""Speculations in one turn."""
MAX_SPEECH_MS = 10_000
"""A turn that lasts longer is not speculated on: its words, and the cost of a wrong guess, are many."""
SETTLED_MS = 30.0
"""Words are taken for complete when the turn seems to be over and none has come for so long: the last ones may come with its end."""
CHARACTERS_PER_TOKEN = 4
"""For the cost of what was dropped before Mistral told it."""

ReplyPiece = ReplyText | ReplyCall | ReplyFinished | ReplyFailed


class PresumedTurn(Struct, frozen=True):
    """A turn that seems to be over: its words so far, since when this is so, and how long it is."""

    item_id: str
    text: str
    settled_ms: float
    speech_ms: int


class Speculation(Struct):
    """A reply that is written to presumed words. `pieces` is what has come of it."""

    reply_id: str
    item_id: str
    text: str
    request: ChatRequest
    pieces: list[ReplyPiece]

    @property
    def cost(self) -> Usage:
        """Its tokens: as Mistral told them, or estimated."""
        for piece in self.pieces:
            if isinstance(piece, ReplyFinished) and piece.usage is not None:
                return piece.usage
        read = sum(len(str(message.content)) for message in self.request.messages)
        written = sum(len(piece.text) for piece in self.pieces if isinstance(piece, ReplyText))
        return Usage(input_tokens=-(-read // CHARACTERS_PER_TOKEN), output_tokens=-(-written // CHARACTERS_PER_TOKEN))


class Speculator:
    """Begins speculations, at most one at a time, drops them, and hands over the one that was right."""

    def __init__(self, context: Context, cache_key: str) -> None:
        self._context = context
        self._cache_key = cache_key
        self._running: Speculation | None = None
        self._item_id = ""
        self._begun = 0
        self.deadline_ms: float | None = None

    def advance(self, presumed: PresumedTurn | None, *, voice_is_fixed: bool) -> None:
        """Let the state follow what is presumed now; None: no turn seems to be over, or no reply to it could be begun."""
        self.deadline_ms = None
        running = self._running
        if running is not None and not _is_same(running, presumed):
            self.drop()
        if self._running is None and presumed is not None and self._may_begin(presumed):
            due_ms = presumed.settled_ms + SETTLED_MS
            if due_ms <= self._context.now_ms:
                self._begin(presumed, voice_is_fixed=voice_is_fixed)
            else:
                self.deadline_ms = due_ms

    def takes(self, piece: ReplyPiece) -> bool:
        """Keep a piece if it belongs to the speculation; tells whether it does. A reply that fails is dropped, and not tried again."""
        running = self._running
        if running is None or piece.response_id != running.reply_id:
            return False
        running.pieces.append(piece)
        if isinstance(piece, ReplyFailed) or (isinstance(piece, ReplyFinished) and piece.finish_reason == "error"):
            self._begun = MAX_PER_TURN
            self.drop()
        return True

    def claim(self, settings: ReplySettings) -> Speculation | None:
        """Hand the speculation over if it is the reply that is wanted now; else it is dropped, and None is returned."""
        running = self._running
        if running is None:
            return None
        if not self._is_right(running, settings):
            self.drop()
            return None
        self._running = None
        self._context.outbox.put(Speculated(None))
        return running

    def drop(self) -> None:
        """The speculation was of no use."""
        dropped, self._running = self._running, None
        if dropped is not None:
            self._context.outbox.put(DropSpeculation(dropped.reply_id), Speculated(dropped.cost))

    def _may_begin(self, presumed: PresumedTurn) -> bool:
        if presumed.item_id != self._item_id:
            self._item_id, self._begun = presumed.item_id, 0
        return self._begun < MAX_PER_TURN and presumed.speech_ms <= MAX_SPEECH_MS and bool(words(presumed.text))

    def _begin(self, presumed: PresumedTurn, *, voice_is_fixed: bool) -> None:
        settings = plan(self._context, ResponseOptions(), voice_is_fixed=voice_is_fixed)
        text = presumed.text.strip()
        asked = request(self._context, settings, self._cache_key, _said(presumed.item_id, text))
        self._running = Speculation(self._context.new_id("resp"), presumed.item_id, text, asked, [])
        self._begun += 1
        self._context.outbox.put(Speculate(self._running.reply_id, asked))

    def _is_right(self, running: Speculation, settings: ReplySettings) -> bool:
        item = self._context.conversation.get(running.item_id)
        if not isinstance(item, Message) or words(item.text) != words(running.text):
            return False
        return request(self._context, settings, self._cache_key, _said(running.item_id, running.text)) == running.request


def words(text: str) -> str:
    """Return a text without case, punctuation and spacing: what makes no difference to a reply."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("'", "").replace("\u2019", "")
    return " ".join("".join(character if character.isalnum() else " " for character in folded).split())


def _is_same(running: Speculation, presumed: PresumedTurn | None) -> bool:
    return presumed is not None and presumed.item_id == running.item_id and words(presumed.text) == words(running.text)


def _said(item_id: str, text: str) -> Message:
    return Message(item_id, Role.USER, (Part(PartKind.INPUT_AUDIO, text),))
