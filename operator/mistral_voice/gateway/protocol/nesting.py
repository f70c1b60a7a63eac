"""How deep JSON nests. What a decoder takes depends on the interpreter: some take ten thousand levels, which others then stumble over."""

import re
from itertools import accumulate

MOST_LEVELS = 100
"""Objects and lists of a message within each other."""
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def nests_too_deeply(text: bytes) -> bool:
    """Return whether a JSON text has more than `MOST_LEVELS` levels. It need not be valid."""
    if text.count(b"[") + text.count(b"{") <= MOST_LEVELS:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MOST_LEVELS
