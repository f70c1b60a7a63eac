import io
import json
import logging
import pickle

import pytest

from mistral_voice.contract.secret import Secret
from mistral_voice.runtime.logs import JsonFormatter, configure, fields
from mistral_voice.runtime.redaction import STRUCK_OUT, Redactor

CANARY = "canary-5f0c9a77"


@pytest.fixture
def redactor() -> Redactor:
    redactor = Redactor()
    redactor.know("tenant/mistral", [Secret(CANARY)])
    return redactor


def logger_to(stream: io.StringIO, redactor: Redactor) -> logging.Logger:
    logger = logging.Logger("test")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter("operator", redactor))
    logger.addHandler(handler)
    return logger


def test_a_log_line_is_one_json_object_with_time_level_and_fields(redactor: Redactor) -> None:
    stream = io.StringIO()
    logger_to(stream, redactor).info("Applied %s.", "Deployment", extra=fields(namespace="team", name="support"))
    line = json.loads(stream.getvalue())
    assert line["message"] == "Applied Deployment."
    assert (line["level"], line["process"], line["namespace"], line["name_"]) == ("info", "operator", "team", "support")
    assert line["time"].endswith("Z")


def test_a_known_secret_is_struck_out_of_messages_fields_and_tracebacks(redactor: Redactor) -> None:
    stream = io.StringIO()
    logger = logger_to(stream, redactor)
    try:
        raise ValueError(f"refused: {CANARY}")
    except ValueError:
        logger.exception("Failed with %s", CANARY, extra={"detail": {"key": CANARY}})
    assert CANARY not in stream.getvalue()
    assert STRUCK_OUT in stream.getvalue()


def test_a_forgotten_secret_is_no_longer_sought(redactor: Redactor) -> None:
    redactor.know("tenant/mistral", [])
    assert redactor.redact(CANARY) == CANARY


@pytest.mark.parametrize(
    "presented",
    [
        "Authorization: Bearer some-TOKEN+of/theirs==",
        "authorization: bearer some-TOKEN+of/theirs==",
        "openai-insecure-api-key.some-TOKEN+of/theirs==",
        "ek_eyJpZCI6.some-TOKEN-of_theirs",
    ],
)
def test_what_a_client_presents_as_its_secret_is_struck_out_though_nobody_knows_it(presented: str) -> None:
    stream = io.StringIO()
    logger_to(stream, Redactor()).warning("Strange: %r", f'"{presented}"\r\nweek_seventh: kept', extra=fields(header=presented))
    line = json.loads(stream.getvalue())
    assert "theirs" not in stream.getvalue()
    assert STRUCK_OUT in line["header"]
    assert "week_seventh: kept" in line["message"]


def test_a_farewell_that_comes_too_late_is_not_logged_as_fatal() -> None:
    """As uvloop reports it when both sides close a TLS connection at once; any other error of a connection is told."""
    root, loop = logging.getLogger(), logging.getLogger("asyncio")
    before = root.handlers[:], root.level, loop.level
    stream = io.StringIO()
    try:
        configure("gateway", stream=stream)
        for error in (
            RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),
            RuntimeError("other"),
        ):
            loop.error("Fatal error on SSL protocol\nprotocol: …", exc_info=error)
    finally:
        root.handlers[:], root.level, loop.level = before
    assert [json.loads(line)["error"] for line in stream.getvalue().splitlines()] == ["RuntimeError: other"]


def test_a_secret_has_no_printable_form() -> None:
    secret = Secret(CANARY)
    assert CANARY not in f"{secret} {secret!r} {[secret]}"
    assert secret == Secret(CANARY)
    assert secret.reveal() == CANARY
    with pytest.raises(TypeError):
        pickle.dumps(secret)
