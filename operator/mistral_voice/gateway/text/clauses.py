"""A reply's text, as it streams in, cut into what can be spoken at once: the first clause early, then whole sentences.

A cut too few is hardly heard, a cut in the wrong place is: in doubt the text goes on to the next end. No cut falls within a number, a time,
an address, an abbreviation, initials or a link.
"""

import re

from mistral_voice.gateway.text.abbreviations import ABBREVIATIONS

FIRST_CLAUSE_CHARACTERS = 24
"""The first cut may come at any clause's end from this length on."""
LONGEST_FIRST_CHARACTERS = 160
"""A first clause without an end is cut at a space before this length, …"""
LONGEST_CHARACTERS = 320
"""… and a sentence without an end before this one."""
LONGEST_WORD = 2048
"""A text without a space, such as a long address, is cut here."""
WIDE_CHARACTER = 3
"""A Chinese, Japanese or Korean character is as long to say as so many letters."""

_CLOSERS = r"[\"'”’»›)\]*_]{0,8}"
_WIDE_CLOSERS = r"[」』”’）】》]{0,8}"
_SENTENCE = rf"(?P<stop>[.!?…؟۔։।॥።។။]{{1,8}}){_CLOSERS}(?=\s)|[。！？]{{1,8}}{_WIDE_CLOSERS}(?=[^。！？」』”’）】》])|\n"
_SENTENCE_END = re.compile(_SENTENCE)
_CLAUSE_END = re.compile(rf"{_SENTENCE}|(?P<pause>[,;:،؛]){_CLOSERS}(?=\s)|\s[–—](?=\s)|(?<=\w)—(?=\w)|[，、；：](?=.)", re.DOTALL)
_WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
_ROMAN = re.compile(r"[IVXLC]+")
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘«‹„—–/]*$")
_NEXT = re.compile(r"\s*(\S)")
_NEXT_WORD = re.compile(r"\s+[^\W\d_]+(?=\s)")
_SPACE = re.compile(r"\s")
_OPEN_LINK = re.compile(r"\[[^\]\n]{0,300}$|\]\([^)\s]{0,2000}$")
_LOOK_AHEAD = 80
_LOOK_BACK = 40
"""An end that is not yet to be recognised, for what follows it has not come, is no longer than this."""
_SHORT_WORD = 3
"""A word up to this length with a full stop is an abbreviation if a digit or a small letter follows: that has to be waited for."""


class ClauseSplitter:
    """Collects text and gives it out in pieces. No character is lost or doubled: the pieces joined are the text."""

    def __init__(self) -> None:
        self._text = ""
        self._first = True
        self._searched = 0

    def push(self, text: str) -> list[str]:
        """Take more text; return the pieces that are complete now."""
        self._text += text
        pieces = []
        while (end := self._end_of_piece()) is not None:
            pieces.append(self._text[:end])
            self._text = self._text[end:]
            self._first, self._searched = False, 0
        return pieces

    def finish(self) -> list[str]:
        """The text has ended; return what is left."""
        rest, self._text = self._text, ""
        return [rest] if rest.strip() else []

    def _end_of_piece(self) -> int | None:
        pattern, least = (_CLAUSE_END, FIRST_CLAUSE_CHARACTERS) if self._first else (_SENTENCE_END, 1)
        longest = LONGEST_FIRST_CHARACTERS if self._first else LONGEST_CHARACTERS
        for match in pattern.finditer(self._text, self._searched, longest + _LOOK_AHEAD):
            if match.end() > longest:
                break
            if _length(self._text[: match.end()]) >= least and _ends(self._text, match):
                return match.end()
            if _NEXT.match(self._text, match.end()):
                self._searched = match.end()
        self._searched = max(self._searched, len(self._text) - _LOOK_BACK)
        return _forced_end(self._text, longest) if len(self._text) > longest else None


def _length(text: str) -> int:
    stripped = text.strip()
    return len(stripped) + (WIDE_CHARACTER - 1) * len(_WIDE.findall(stripped))


def _ends(text: str, match: "re.Match[str]") -> bool:
    """Tell whether what looks like the end of a clause is one."""
    if _OPEN_LINK.search(text, 0, match.end()):
        return False
    groups = match.groupdict()
    follows = _NEXT.match(text, match.end())
    next_character = follows[1] if follows else ""
    if groups["stop"]:
        return _ends_sentence(text[: match.start("stop")], groups["stop"], next_character)
    if groups.get("pause"):
        return not _is_abbreviation(text[: match.start("pause")])
    return True


def _ends_sentence(before: str, stop: str, next_character: str) -> bool:
    if stop != ".":
        return True
    word = _last_word(before)
    if _is_abbreviation(before + ".") or (word.isdigit() and len(word) <= 2) or _ROMAN.fullmatch(word):
        return False
    return len(word) > _SHORT_WORD or not (next_character == "" or next_character.isdigit() or next_character.islower())


def _is_abbreviation(head: str) -> bool:
    """Tell whether a text ends in an abbreviation with its full stop, or in an initial."""
    if not head.endswith("."):
        return False
    word = _last_word(head[:-1])
    return (
        (len(word) == 1 and word.isalpha())
        or word.lower() in ABBREVIATIONS
        or bool(re.search(r"(?:^|\.)\w$", word) and word[-1:].isalpha())
    )


def _last_word(text: str) -> str:
    found = _LAST_WORD.search(text[-40:])
    return found[0] if found else ""


def _forced_end(text: str, longest: int) -> int | None:
    """Where to cut a text that doesn't end: behind a pause if there is one, else between two plain words, else at any space."""
    pauses = [match.end() for match in _CLAUSE_END.finditer(text, 0, longest) if _ends(text, match)]
    if pauses and pauses[-1] >= FIRST_CLAUSE_CHARACTERS:
        return pauses[-1]
    spaces = [match.start() for match in _SPACE.finditer(text, FIRST_CLAUSE_CHARACTERS, longest)]
    for space in reversed(spaces):
        if _is_between_words(text, space):
            return space
    if spaces:
        return spaces[-1]
    if _WIDE.match(text, longest - 1):
        return longest
    further = _SPACE.search(text, longest)
    return further.start() if further else LONGEST_WORD if len(text) > LONGEST_WORD else None


def _is_between_words(text: str, space: int) -> bool:
    following = _NEXT_WORD.match(text, space)
    return following is not None and _last_word(text[:space]).isalpha() and not _OPEN_LINK.search(text[:space])
