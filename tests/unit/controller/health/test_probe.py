"""The health check against the simulated Mistral, over real sockets."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme

from mistral_voice.contract.secret import Secret
from mistral_voice.controller.health.probe import DEADLINE_MS, probe
from mistral_voice.controller.health.result import ProbeCode, ProbeResult, WarningCode
from mistral_voice.controller.health.target import ProbeTarget
from mistral_voice.mistral.rest import open_http
from mistral_voice.simulator.dialect import Dialect, ErrorShape
from tests.support.simulator import TEST_KEY, SimulatorHandle, running_simulator
from tests.support.waiting import eventually

NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)


@pytest.fixture
async def mistral() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator() as running:
        yield running


def target(base_url: str, **changes: Any) -> ProbeTarget:
    return replace(ProbeTarget(base_url=base_url, model="mistral-medium-latest", voice="voice_478"), **changes)


async def probed(base_url: str, key: str = TEST_KEY, deadline_ms: int = DEADLINE_MS, **changes: Any) -> ProbeResult:
    wanted = target(base_url, **changes)
    async with open_http(wanted.ca_bundle) as http:
        return await probe(http, wanted, Secret(key), lambda: NOW, deadline_ms)


async def test_good_key_models_and_voice_connect(mistral: SimulatorHandle) -> None:
    result = await probed(mistral.base_url)
    assert (result.code, result.key_accepted, result.warnings) == (ProbeCode.CONNECTED, True, ())
    assert result.checked_at == NOW


async def test_check_asks_for_nothing_that_costs_tokens(mistral: SimulatorHandle) -> None:
    await probed(mistral.base_url)
    assert {request["endpoint"] for request in await mistral.requests()} == {"whoami", "models", "voices"}


def test_deadline_is_the_contracts() -> None:
    assert DEADLINE_MS == 5000


@pytest.mark.parametrize("shape", list(ErrorShape))
async def test_wrong_key_is_unauthorized_after_asking_once_more(shape: ErrorShape) -> None:
    async with running_simulator(dialect=Dialect(unauthorized=shape)) as mistral:
        result = await probed(mistral.base_url, key="wrong-key-000000")
        assert (result.code, result.key_accepted) == (ProbeCode.UNAUTHORIZED, False)
        assert len(await mistral.requests(endpoint="models")) == 2


async def test_401_that_passes_does_not_count(mistral: SimulatorHandle) -> None:
    for endpoint in ("models", "voices", "whoami"):
        await mistral.add_fault("status", endpoint=endpoint, status=401, times=1)
    assert (await probed(mistral.base_url)).code is ProbeCode.CONNECTED


async def test_key_that_may_not_ask_who_it_is_is_accepted_by_the_models(mistral: SimulatorHandle) -> None:
    for status in (401, 403, 404):
        fault = await mistral.add_fault("status", endpoint="whoami", status=status)
        result = await probed(mistral.base_url)
        assert (result.code, result.key_accepted) == (ProbeCode.CONNECTED, True)
        await mistral.admin("DELETE", f"/faults/{fault}")


async def test_disabled_key_is_denied_and_counts_as_accepted(mistral: SimulatorHandle) -> None:
    await mistral.admin("PATCH", "/keys/test", {"state": "disabled"})
    result = await probed(mistral.base_url)
    assert (result.code, result.key_accepted) == (ProbeCode.PERMISSION_DENIED, True)


async def test_revoked_key_is_unauthorized(mistral: SimulatorHandle) -> None:
    await mistral.admin("PATCH", "/keys/test", {"state": "revoked"})
    assert (await probed(mistral.base_url)).code is ProbeCode.UNAUTHORIZED


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model": "mistral-imaginary"}, ProbeCode.MODEL_NOT_FOUND),
        ({"model": "mistral-large-2407"}, ProbeCode.MODEL_RETIRED),
        ({"model": "mistral-embed"}, ProbeCode.MODEL_CANNOT_CHAT),
        ({"transcription_model": "mistral-medium-latest"}, ProbeCode.TRANSCRIPTION_MODEL_NOT_FOUND),
        ({"transcription_model": "nothing"}, ProbeCode.TRANSCRIPTION_MODEL_NOT_FOUND),
        ({"speech_model": "nothing"}, ProbeCode.SPEECH_MODEL_NOT_FOUND),
        ({"voice": "voice_0"}, ProbeCode.VOICE_NOT_FOUND),
    ],
)
async def test_what_does_not_exist_is_named(mistral: SimulatorHandle, changes: dict[str, Any], code: ProbeCode) -> None:
    result = await probed(mistral.base_url, **changes)
    assert result.code is code
    [name] = changes.values()
    assert repr(name) in result.message
    assert result.key_accepted is True


async def test_voice_is_found_by_its_slug_and_on_a_later_page(mistral: SimulatorHandle) -> None:
    for number in range(250):
        await mistral.admin("PUT", f"/voices/custom_{number}", {"name": f"Custom {number}", "type": "custom"})
    assert (await probed(mistral.base_url, voice="en_paul_neutral")).code is ProbeCode.CONNECTED
    assert (await probed(mistral.base_url, voice="custom_249")).code is ProbeCode.CONNECTED


async def test_voice_is_found_where_only_the_older_listing_exists(mistral: SimulatorHandle) -> None:
    await mistral.add_fault("status", endpoint="voices", status=404, times=1)
    assert (await probed(mistral.base_url)).code is ProbeCode.CONNECTED


async def test_model_with_a_date_of_retirement_connects_with_a_warning(mistral: SimulatorHandle) -> None:
    result = await probed(mistral.base_url, model="mistral-small-2506")
    assert result.code is ProbeCode.CONNECTED
    [warning] = result.warnings
    assert (warning.code, warning.path) == (WarningCode.MODEL_DEPRECATED, "spec.config.model")
    assert "2099-06-30" in warning.message
    assert "mistral-small-latest" in warning.suggestion


async def test_allowed_model_that_does_not_exist_is_a_warning(mistral: SimulatorHandle) -> None:
    result = await probed(mistral.base_url, allowed_models=("mistral-large-4", "mistral-imaginary"))
    assert result.code is ProbeCode.CONNECTED
    assert [warning.code for warning in result.warnings] == [WarningCode.ALLOWED_MODEL_NOT_USABLE]


async def test_rate_limit_is_told_with_its_patience(mistral: SimulatorHandle) -> None:
    await mistral.add_fault("status", endpoint="models", status=429, retry_after_s=17)
    result = await probed(mistral.base_url)
    assert (result.code, result.retry_after_seconds, result.key_accepted) == (ProbeCode.RATE_LIMITED, 17, True)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_mistrals_own_trouble_is_called_so(mistral: SimulatorHandle, status: int) -> None:
    await mistral.add_fault("status", status=status)
    result = await probed(mistral.base_url)
    assert result.code is ProbeCode.UPSTREAM_ERROR
    assert str(status) in result.message


@pytest.mark.parametrize("garbage", ["invalid_json", "wrong_content_type", "wrong_shape", "oversized"])
@pytest.mark.parametrize("endpoint", ["models", "voices"])
async def test_garbage_is_no_answer(mistral: SimulatorHandle, garbage: str, endpoint: str) -> None:
    await mistral.add_fault("garbage", endpoint=endpoint, garbage=garbage)
    assert (await probed(mistral.base_url)).code is ProbeCode.INVALID_ANSWER


@pytest.mark.parametrize("endpoint", ["models", "voices"])
async def test_silence_is_a_time_out(mistral: SimulatorHandle, endpoint: str) -> None:
    await mistral.add_fault("hang", endpoint=endpoint)
    result = await probed(mistral.base_url, deadline_ms=400)
    assert result.code is ProbeCode.UPSTREAM_TIMEOUT
    assert "400 ms" in result.message


async def test_slow_answers_share_one_deadline(mistral: SimulatorHandle) -> None:
    await mistral.add_fault("slow", delay_ms=10_000)
    assert (await probed(mistral.base_url, deadline_ms=400)).code is ProbeCode.UPSTREAM_TIMEOUT


async def test_clear_answer_counts_although_another_never_comes(mistral: SimulatorHandle) -> None:
    await mistral.add_fault("hang", endpoint="voices")
    assert (await probed(mistral.base_url, deadline_ms=400, model="mistral-imaginary")).code is ProbeCode.MODEL_NOT_FOUND


async def test_broken_connection_is_trouble_on_the_way(mistral: SimulatorHandle) -> None:
    await mistral.add_fault("reset")
    assert (await probed(mistral.base_url)).code is ProbeCode.CONNECTION_FAILED


async def test_closed_port_refuses_the_connection() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        result = await probed(f"http://127.0.0.1:{reserved.getsockname()[1]}")
    assert result.code is ProbeCode.CONNECTION_FAILED
    assert "refused" in result.message


async def test_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_address(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", no_address)
    assert (await probed("https://mistral.invalid")).code is ProbeCode.NAME_NOT_RESOLVED


async def test_redirect_is_not_followed() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        result = await probed(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert result.code is ProbeCode.INVALID_ANSWER
    assert "302" in result.message


async def test_server_that_speaks_no_http() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        result = await probed(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert result.code in (ProbeCode.INVALID_ANSWER, ProbeCode.CONNECTION_FAILED)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def served_by(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


async def test_endpoints_own_authority_is_trusted(authority: trustme.CA) -> None:
    async with running_simulator(tls=served_by(authority.issue_cert("127.0.0.1"))) as mistral:
        bundle = authority.cert_pem.bytes().decode()
        assert (await probed(mistral.base_url, ca_bundle=bundle)).code is ProbeCode.CONNECTED


@pytest.mark.parametrize("fault", ["unknown authority", "wrong name", "expired"])
async def test_certificate_that_is_not_good_is_a_tls_error(authority: trustme.CA, fault: str) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    certificate = {
        "unknown authority": trustme.CA().issue_cert("127.0.0.1"),
        "wrong name": authority.issue_cert("mistral.example"),
        "expired": authority.issue_cert("127.0.0.1", not_before=yesterday - timedelta(days=9), not_after=yesterday),
    }[fault]
    async with running_simulator(tls=served_by(certificate)) as mistral:
        result = await probed(mistral.base_url, ca_bundle=authority.cert_pem.bytes().decode())
    assert result.code is ProbeCode.TLS_ERROR
    assert "certificate" in result.message


async def test_https_where_only_http_is_spoken_is_a_tls_error(mistral: SimulatorHandle) -> None:
    assert (await probed(mistral.base_url.replace("http:", "https:"))).code is ProbeCode.TLS_ERROR


async def test_no_text_of_a_result_quotes_the_key(mistral: SimulatorHandle) -> None:
    canary = "canary-key-4711"
    results = [await probed(mistral.base_url, key=canary), await probed("http://127.0.0.1:1", key=canary)]
    await mistral.add_fault("status", status=500, body={"detail": f"Bearer {canary}"})
    results.append(await probed(mistral.base_url, key=canary))
    assert canary not in repr(results)


async def test_cancelled_check_passes_the_cancellation_on(mistral: SimulatorHandle) -> None:
    await mistral.add_fault("hang")
    task = asyncio.create_task(probed(mistral.base_url))
    await eventually(lambda: mistral.requests(endpoint="models"), "the question")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
