"""How loud the caller is: what is much quieter while the assistant speaks is its echo, or a voice in the room. Pure."""

QUIETER_DB = 8.0
"""A voice that much below the caller's own is not the caller's …"""
LOUD_DBFS = -26.0
"""… unless it is as loud as this."""
MEMORY_FRAMES = 100
"""The caller's level follows the last three seconds of speech."""
ENOUGH_FRAMES = 15
"""From half a second of speech on it is known."""


class CallerLevel:
    """Learns the caller's level from speech that nothing else sounded over. Power is the mean of squared samples within ±1."""

    def __init__(self) -> None:
        self._power = 0.0
        self._frames = 0

    def learn(self, power: float) -> None:
        """A frame of the caller's speech."""
        self._frames = min(self._frames + 1, MEMORY_FRAMES)
        self._power += (power - self._power) / self._frames

    def may_be_caller(self, power: float) -> bool:
        """Whether a frame of voice is loud enough to be the caller's; as long as the caller is unknown, any is."""
        if self._frames < ENOUGH_FRAMES:
            return True
        return power >= min(self._power * _QUIETER, _LOUD)


_QUIETER = 10 ** (-QUIETER_DB / 10)
_LOUD = 10 ** (LOUD_DBFS / 10)
