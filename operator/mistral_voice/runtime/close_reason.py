"""Why a WebSocket is closed, in the words of its close frame."""

LONGEST_BYTES = 123
"""A control frame bears 125 bytes, two of which are the close code (RFC 6455, 5.5)."""


def close_reason(text: str) -> bytes:
    """Return a text as a close frame can bear it: cut after a whole character, since clients fail a connection for half of one."""
    return text.encode(errors="replace")[:LONGEST_BYTES].decode(errors="ignore").encode()
