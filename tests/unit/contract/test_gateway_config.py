"""The file that the operator writes and the gateway reads."""

import json

import msgspec
import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from mistral_voice.contract.gateway_config import (
    GatewayConfig,
    GatewayConfigError,
    Integration,
    Limits,
    Policy,
    SessionDefaults,
    Upstream,
    decode,
    encode,
)

CONFIG = GatewayConfig(
    integration=Integration("team-a", "support"),
    upstream=Upstream("https://api.mistral.ai", "/etc/key"),
    session=SessionDefaults("mistral-medium-latest", "voice_478", "server_vad", 600),
    limits=Limits(100, 540),
    client_token_directory="/etc/token",
)
TEXT = st.text(max_size=20)
CONFIGS = st.builds(
    GatewayConfig,
    integration=st.builds(Integration, TEXT, TEXT, st.sampled_from(["byok", "managed"])),
    upstream=st.builds(Upstream, TEXT, TEXT, st.none() | TEXT),
    session=st.builds(SessionDefaults, TEXT, TEXT, st.sampled_from(["server_vad", "push_to_talk"]), st.integers(1, 3600)),
    limits=st.builds(Limits, st.integers(1, 1000), st.integers(0, 3600)),
    client_token_directory=TEXT,
    policy=st.builds(Policy, allowed_models=st.lists(TEXT, max_size=3).map(tuple), instructions=TEXT, playground=st.booleans()),
    tls_directory=st.none() | TEXT,
)


@generated(CONFIGS)
def test_what_is_written_is_what_is_read(config: GatewayConfig) -> None:
    assert decode(encode(config).encode()) == config


def test_same_configuration_is_the_same_text_with_names_in_camel_case() -> None:
    assert encode(CONFIG) == encode(msgspec.structs.replace(CONFIG))
    written = json.loads(encode(CONFIG))
    assert written["session"]["maxSessionDurationSeconds"] == 600
    assert written["upstream"]["credentialFile"] == "/etc/key"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ('"maxSessions": 100', '"maxSessions": 0'),
        ('"turnDetection": "server_vad"', '"turnDetection": "telepathy"'),
        ('"namespace": "team-a"', '"namespaces": "team-a"'),
        ('"clientTokenDirectory": "/etc/token",', ""),
        ("{", "["),
    ],
)
def test_file_that_can_not_be_used_gets_a_sentence(change: str, place: str) -> None:
    text = encode(CONFIG)
    assert change in text
    with pytest.raises(GatewayConfigError, match=r"gateway\.json can't be used: .*run the same version of both"):
        decode(text.replace(change, place, 1).encode())


def test_fields_of_a_newer_version_do_not_keep_a_pod_of_the_former_one_from_starting_again() -> None:
    written = json.loads(encode(CONFIG))
    written["telepathy"] = {"enabled": True}
    for section in ("integration", "upstream", "session", "limits", "policy"):
        written[section]["newSince"] = "tomorrow"
    assert decode(json.dumps(written).encode()) == CONFIG
