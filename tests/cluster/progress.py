"""What a person sees while they wait: one line that changes on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

LOG_INTERVAL_SECONDS = 15.0


class Step:
    """One long task; `update` may be called as often as the task likes."""

    def __init__(self, title: str, stream: TextIO, clock: Callable[[], float]) -> None:
        self._title = title
        self._stream = stream
        self._clock = clock
        self._rewrites_line = stream.isatty()
        self._started = clock()
        self._last_shown = self._started
        self._width = 0

    def start(self) -> None:
        """Show the title alone."""
        self._show("…", final=False)

    def update(self, detail: str) -> None:
        """Show how far the task is, e.g. `350 of 1900 packages`."""
        now = self._clock()
        interval = 0.1 if self._rewrites_line else LOG_INTERVAL_SECONDS
        if now - self._last_shown >= interval:
            self._last_shown = now
            self._show(f"… {detail}", final=False)

    def done(self) -> None:
        """Show how long the task took."""
        self._show(f": done in {self._clock() - self._started:.1f} s", final=True)

    def failed(self) -> None:
        """Leave the last line as it is, so that the error follows on a line of its own."""
        self._show(f": failed after {self._clock() - self._started:.1f} s", final=True)

    def _show(self, rest: str, *, final: bool) -> None:
        text = self._title + rest
        if self._rewrites_line:
            padding = " " * max(0, self._width - len(text))
            self._width = len(text)
            self._stream.write(f"\r{text}{padding}" + ("\n" if final else ""))
        else:
            self._stream.write(text + "\n")
        self._stream.flush()


class Progress:
    """Where steps are shown.

    Args:
        stream: usually standard error, so that standard output stays free for results.
        clock: seconds that never run backwards.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show `title` while the body runs and its duration afterwards."""
        step = Step(title, self._stream, self._clock)
        step.start()
        try:
            yield step
        except BaseException:
            step.failed()
            raise
        step.done()

    def note(self, sentence: str) -> None:
        """Show one sentence on a line of its own."""
        self._stream.write(sentence + "\n")
        self._stream.flush()
