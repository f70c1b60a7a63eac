"""Text as one says it: without markdown, code and pictograms."""

import html
import re

_EMOJI = "[\U0001f000-\U0001faff\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff\u3030\u303d\u3297\u3299]"
_EMOJIS = f"{_EMOJI}(?:[\ufe0e\ufe0f\u200d\U000e0020-\U000e007f]|{_EMOJI})*"
_PICTOGRAMS = re.compile(rf"\s?{_EMOJIS}(?P<rest>\s?.?)", re.DOTALL)
_FENCE = re.compile(r"\s*(?:```|~~~)(?!.*(?:```|~~~))")
_LEAD = re.compile(r"^\s*(?:#{1,6}(?=\s)|>+|[-*+•◦▪‣·–](?=\s)|\[[ xX]\](?=\s))\s*")
_CELLS = re.compile(r"^\s*\||\|\s*$|\s\|\s")
_INLINE = (
    (re.compile(r"\\([*_`#|~\[\]()<>.!-])"), r"\1"),
    (re.compile(r"!?\[([^\]]{0,500})\]\([^)]{0,2000}\)"), r"\1"),
    (re.compile(r"\[\^?\d{1,3}\](?!\()"), ""),
    (re.compile(r"<((?:https?://|mailto:)[^\s<>]+)>"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>]{0,200}>"), " "),
    (re.compile(r"`+|(?<!\d)\*\*+|\*\*+(?!\d)|~~"), ""),
    (re.compile(r"(?<!\w)__(?=\S)|(?<=\S)__(?!\w)"), ""),
    (re.compile(r"(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])"), ""),
    (re.compile(r"(?<![\w_])_(?=\S)|(?<=\S)_(?![\w_])"), ""),
)
_STRAY = re.compile("[\ufe0e\ufe0f\u20e3]")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]{2,10});")
_SPOKEN = re.compile(r"[^\W_]")


def _without_pictograms(found: "re.Match[str]") -> str:
    """Leave a space, but none in front of a stop."""
    rest = found["rest"]
    return rest.strip() if rest.strip() in tuple(".,!?;:…") else f" {rest}"


class Speakable:
    """Turns the pieces of one reply into words, in order. A fenced block of code, which may span pieces, is not spoken."""

    def __init__(self) -> None:
        self._in_code = False

    def words_of(self, piece: str) -> str:
        """Return what is to be said of the next piece; empty if there is nothing."""
        lines = (self._line(line) for line in piece.split("\n"))
        return " ".join(line for line in lines if _SPOKEN.search(line))

    def _line(self, line: str) -> str:
        if _FENCE.match(line):
            self._in_code = not self._in_code
            return ""
        if self._in_code:
            return ""
        while lead := _LEAD.match(line):
            line = line[lead.end() :]
        if _CELLS.search(line):
            line = ", ".join(cell.strip() for cell in line.split("|") if cell.strip())
        line = " ".join(line.split())
        for pattern, replacement in _INLINE:
            line = pattern.sub(replacement, line)
        line = _STRAY.sub("", _PICTOGRAMS.sub(_without_pictograms, line))
        return " ".join(_ENTITY.sub(lambda entity: html.unescape(entity[0]), line).split())


def speakable(text: str) -> str:
    """Return the words of a whole text, ready to be spoken; empty if nothing of it can be spoken."""
    return Speakable().words_of(text)
