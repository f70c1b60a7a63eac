"""What can go wrong while talking; the text is what the user reads."""


class TalkError(Exception):
    """A sentence for the person at the terminal: what is wrong, and what to do."""


class TalkUsageError(TalkError):
    """The command was called wrongly."""
