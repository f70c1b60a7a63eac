"""A reply that was interrupted, and how it goes on if the interruption proves false. Pure."""

import re
from collections.abc import Sequence

from msgspec import Struct

from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.events import ResponseStatus, StopReason
from mistral_voice.gateway.session.heard import SpokenSegment, heard_up_to
from mistral_voice.gateway.session.reply_plan import ReplySettings

_WORD = re.compile(r"\w")
_CLAUSE_END = re.compile(r"[.!?…,;:]+[\"'”’»)\]]*(?=\s)|\s[–—](?=\s)")


class TextEnd(Struct, frozen=True):
    """How a reply's text ended, and how the reply is to end once all of it is spoken."""

    status: ResponseStatus
    reason: StopReason | None = None
    fault: Fault | None = None


class Interrupted(Struct, frozen=True):
    """A reply that the caller's voice has stopped: what it had to say, and how much of that was heard.

    `item_id` None: it had no words yet. `end` None: it was still being written.
    """

    settings: ReplySettings
    item_id: str | None
    said: tuple[SpokenSegment, ...]
    heard_ms: float
    end: TextEnd | None


class Rest(Struct, frozen=True):
    """An interrupted text, cut at the beginning of the clause that was broken: what stays, and what is to be said again, piece by piece."""

    kept: str
    pieces: tuple[str, ...]


def rest_of(said: Sequence[SpokenSegment], heard_ms: float) -> Rest:
    """Return what has to be said again of a text that was heard so far."""
    index, length = heard_up_to(said, heard_ms)
    kept = [segment.text for segment in said[:index]]
    pieces = [segment.text for segment in said[index:]]
    if pieces:
        cut = max((match.end() for match in _CLAUSE_END.finditer(pieces[0]) if match.end() <= length), default=0)
        kept.append(pieces[0][:cut])
        pieces[0] = pieces[0][cut:].lstrip()
    return Rest(" ".join(text for text in kept if text), tuple(piece for piece in pieces if _WORD.search(piece)))
