"""`mistral-voice simulator`."""

import asyncio
import logging
import ssl
import sys
from collections.abc import Sequence

import msgspec
import uvloop

from mistral_voice.runtime import logs
from mistral_voice.runtime.redaction import Redactor
from mistral_voice.runtime.shutdown import stop_signal
from mistral_voice.simulator.clock import SystemClock
from mistral_voice.simulator.core import new_simulator
from mistral_voice.simulator.errors import SimulatorError
from mistral_voice.simulator.script import ScriptInUse, parse_script
from mistral_voice.simulator.scripted.temperament import ScriptedTemperament
from mistral_voice.simulator.server import serving
from mistral_voice.simulator.settings import Settings, SettingsError, parse
from mistral_voice.simulator.temperament import Temperament

logger = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT. Returns 0 then, 1 if it can't start, 2 for wrong settings."""
    try:
        settings = parse(argv)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    redactor = Redactor()
    redactor.know("keys", [key.value for key in settings.keys] + ([settings.admin_token] if settings.admin_token else []))
    logs.configure("simulator", settings.log_level, redactor)
    try:
        uvloop.run(_run(settings))
    except (OSError, SimulatorError) as error:
        logger.error("The simulator can't start: %s", error)
        return 1
    return 0


async def _run(settings: Settings) -> None:
    simulator = new_simulator(
        temperament=await _temperament(settings),
        keys=settings.keys,
        dialect=settings.dialect,
        max_sockets=settings.max_sockets,
        admin_token=settings.admin_token,
    )
    if settings.script is not None:
        try:
            simulator.scripts.default = ScriptInUse(parse_script(await asyncio.to_thread(settings.script.read_bytes)))
        except msgspec.MsgspecError as error:
            raise SettingsError(f"--script: {settings.script}: {error}.") from error
    with stop_signal() as stopped:
        async with serving(simulator, settings.host, settings.port, _tls(settings)) as port:
            logger.info(
                "listening", extra=logs.fields(port=port, live=settings.live, tls=settings.tls_cert is not None, keys=len(settings.keys))
            )
            await stopped.wait()
            logger.info("stopping")


async def _temperament(settings: Settings) -> Temperament:
    if not settings.live:
        return ScriptedTemperament(SystemClock())
    from mistral_voice.simulator.live.temperament import start_live

    return await start_live(SystemClock(), settings.live_workers)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"--tls-cert, --tls-key: they can't be used: {error}") from error
    return context
