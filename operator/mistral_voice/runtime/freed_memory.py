"""Memory that was freed, and that the C library keeps for what may come."""

import ctypes
from typing import Any


def give_back() -> bool:
    """Give freed memory back to the system; returns whether this C library can.

    glibc gives back by itself what lies at the end of its heap, and keeps all that is free in front of anything that lives. What many
    callers' audio leaves behind so would count as used until the process ends. It takes some milliseconds.
    """
    trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return False
    trim(0)
    return True
