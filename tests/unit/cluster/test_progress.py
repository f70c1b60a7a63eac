"""Progress: one line on a terminal, few lines in a log."""

import io

import pytest

from tests.cluster.progress import Progress


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_every_15_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(stream, clock).step("Building") as step:
        for second in range(40):
            clock.now = float(second)
            step.update(f"package {second}")
    assert stream.getvalue().splitlines() == ["Building…", "Building… package 15", "Building… package 30", "Building: done in 39.0 s"]


def test_a_terminal_gets_one_line_that_changes() -> None:
    stream, clock = Terminal(), Clock()
    with Progress(stream, clock).step("Building") as step:
        clock.now = 1.0
        step.update("a long package name")
        clock.now = 2.0
        step.update("b")
    written = stream.getvalue()
    assert written.count("\n") == 1
    assert written.endswith("\n")
    assert "\rBuilding… b                  " in written


def test_a_failed_step_says_so_and_lets_the_error_pass() -> None:
    stream = io.StringIO()

    def fail() -> None:
        with Progress(stream, Clock()).step("Building"):
            raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        fail()
    assert stream.getvalue().splitlines()[-1] == "Building: failed after 0.0 s"
