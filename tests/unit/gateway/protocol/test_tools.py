"""Tools on the wire."""

import msgspec
import pytest

from mistral_voice.gateway.protocol.client_events import BadEventError, decode
from mistral_voice.gateway.protocol.tools import WireTool, tools_of, wire_tools
from mistral_voice.gateway.session.inputs import UpdateSession


def offered(parameters: bytes) -> object:
    return tools_of([WireTool(name="f", parameters=msgspec.Raw(parameters))], "tools")


def test_the_same_schema_is_the_same_however_it_is_written() -> None:
    assert offered(b'{"type":"object"}') == offered(b'{ "type" : "\\u006fbject" }\n')


def test_no_parameters_are_an_empty_object() -> None:
    for written in (b"", b"null"):
        tools = offered(written)
        assert isinstance(tools, tuple)
        assert msgspec.json.encode(wire_tools(tools)[0]["parameters"]) == b'{"type":"object","properties":{}}'


@pytest.mark.parametrize("written", [b"[1]", b"7", b'"text"'])
def test_a_schema_is_an_object(written: bytes) -> None:
    with pytest.raises(BadEventError, match="JSON schema"):
        decode(b'{"type":"session.update","session":{"tools":[{"name":"f","parameters":' + written + b"}]}}")


def test_what_is_no_text_never_goes_on() -> None:
    with pytest.raises(BadEventError):
        decode(b'{"type":"session.update","session":{"tools":[{"name":"f","parameters":{"a":"\xff"}}]}}')


def test_a_field_that_is_not_read_may_hold_anything() -> None:
    assert isinstance(decode(b'{"type":"session.update","session":{"x":{"y":[1]}}}'), UpdateSession)
