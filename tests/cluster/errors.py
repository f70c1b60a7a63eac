"""What goes wrong with a cluster for tests, in a sentence for the person who asked for it."""


class ClusterError(Exception):
    """A cluster, an image or a program could not be had; the text says what is wrong and what to do."""


class MissingPrerequisite(ClusterError):
    """The machine lacks something that the tool cannot bring by itself."""


class CommandFailed(ClusterError):
    """A program that was run ended with an error; the text ends with the last lines it printed."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
