"""A secret value that cannot be printed."""

from typing import NoReturn


class Secret:
    """A secret text. It has no printable form: only `reveal()`, called where the value leaves for its purpose, gives it out.

    Two secrets compare equal by value. A secret can't be pickled, formatted into an error, or serialised by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value. The caller sees to it that it reaches no log, metric, status, event or error text."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Secret can't be pickled or copied out of its process.")
