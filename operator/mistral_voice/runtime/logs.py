"""Structured logs: one JSON object a line on standard error, over the standard library's logging."""

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any

from mistral_voice.runtime.redaction import Redactor

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: `time` (RFC 3339, UTC), `level`, `logger`, `message`, then what was given as `extra`."""

    def __init__(self, process: str, redactor: Redactor | None = None) -> None:
        super().__init__()
        self._process = process
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line, with every secret that the redactor knows struck out."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({key: value for key, value in vars(record).items() if key not in _STANDARD and not key.startswith("_")})
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        text = json.dumps(line, default=str, ensure_ascii=False)
        return self._redactor.redact(text) if self._redactor else text


def configure(process: str, level: str = "info", redactor: Redactor | None = None, stream: IO[str] | None = None) -> None:
    """Send all logs of this process as JSON lines to `stream` (standard error by default), from `level` upwards."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(process, redactor))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("aiohttp.access", "httpx2", "httpcore2", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    server = logging.getLogger("aiohttp.server")
    server.filters[:] = [_tell_briefly_of_bad_requests]
    logging.getLogger("asyncio").filters[:] = [_is_no_late_write]
    # It warns of subprotocols that it doesn't know by quoting them, and browsers send their key as one.
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)


def _tell_briefly_of_bad_requests(record: logging.LogRecord) -> bool:
    """Make one line of a request that is no proper HTTP: the server's traceback quotes its headers, and is no error of ours."""
    from aiohttp.http_exceptions import HttpProcessingError  # Whoever logs here has loaded it.

    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args = "A request was no proper HTTP and was refused: %s.", (type(error).__name__,)
        record.exc_info = record.exc_text = None
        if record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def _is_no_late_write(record: logging.LogRecord) -> bool:
    """Leave out what uvloop calls fatal and isn't: both sides closed a TLS connection at once, and its farewell had nowhere to go."""
    error = record.exc_info[1] if record.exc_info else None
    late = isinstance(error, RuntimeError) and "the handler is closed" in str(error)
    return not (late and record.getMessage().startswith("Fatal error on SSL protocol"))


def fields(**values: Any) -> Mapping[str, Any]:
    """Return the `extra` of a log call. Names that logging reserves get a trailing underscore."""
    return {(f"{key}_" if key in _STANDARD else key): value for key, value in values.items()}
