"""A reply's text, as it streams in, cut into what can be spoken at once: the first clause early, then whole sentences."""

import re

FIRST_CLAUSE_CHARACTERS = 24
"""The first cut may come at any clause's end from this length on."""
LONGEST_CHARACTERS = 320
"""Text without an end of sentence is cut at a space before this length."""

_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’»)\]]*(?=\s)|\n+")
_CLAUSE_END = re.compile(r"(?:[.!?…。！？]+|[,;:])[\"'”’»)\]]*(?=\s)|\s[–—](?=\s)|\n+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|nr|vs|etc|approx|dept|inc|ltd|jr|sr|e\.g|i\.e|z\.b|bzw|ca|fig|pp|vol|mme|mlle)|\b[A-Za-z]|\b\d{1,4})\.$",
    re.IGNORECASE,
)


class ClauseSplitter:
    """Collects text and gives it out in pieces. No character is lost or doubled: the pieces joined are the text."""

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def push(self, text: str) -> list[str]:
        """Take more text; return the pieces that are complete now."""
        self._text += text
        pieces = []
        while (end := self._end_of_piece()) is not None:
            pieces.append(self._text[:end])
            self._text = self._text[end:]
            self._first = False
        return pieces

    def finish(self) -> list[str]:
        """The text has ended; return what is left."""
        rest, self._text = self._text, ""
        return [rest] if rest.strip() else []

    def _end_of_piece(self) -> int | None:
        pattern, least = (_CLAUSE_END, FIRST_CLAUSE_CHARACTERS) if self._first else (_SENTENCE_END, 1)
        for match in pattern.finditer(self._text):
            head = self._text[: match.end()]
            if len(head.strip()) >= least and not _is_abbreviation(head):
                return match.end()
        if len(self._text) > LONGEST_CHARACTERS:
            space = self._text.rfind(" ", FIRST_CLAUSE_CHARACTERS, LONGEST_CHARACTERS)
            return space if space > 0 else LONGEST_CHARACTERS
        return None


def _is_abbreviation(head: str) -> bool:
    return bool(_ABBREVIATION.search(head[-12:]))
