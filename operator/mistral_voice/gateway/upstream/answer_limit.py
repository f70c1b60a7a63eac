"""No reply is endless, whatever the model writes."""

from mistral_voice.mistral.stream.chat import ChatCallPiece, ChatEnd, ChatPiece, ChatText

MOST_CHARACTERS = 50_000
"""Characters of a reply: its text, and the names and arguments of its calls."""
MOST_CALLS = 64
"""Calls of a reply."""


class AnswerLimit:
    """Counts what comes of one answer. Where it is too much the answer ends, as one does that has used up its tokens."""

    def __init__(self) -> None:
        self._left = MOST_CHARACTERS

    def admit(self, piece: ChatPiece) -> ChatPiece:
        """Return the piece, or the answer's end in its place."""
        match piece:
            case ChatText(text=text):
                self._left -= len(text)
            case ChatCallPiece(number=number, name=name, arguments=arguments):
                self._left -= max(1, len(name) + len(arguments))
                if number >= MOST_CALLS:
                    self._left = -1
            case _:
                return piece
        return piece if self._left >= 0 else ChatEnd("length", None)
