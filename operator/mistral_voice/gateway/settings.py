"""How the gateway process is called."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import structs

from mistral_voice.contract.names import CLIENT_PORT, CONFIG_FILE, METRICS_PORT
from mistral_voice.gateway.client_limits import ClientLimits
from mistral_voice.gateway.upstream.speech_sockets import MOST_SPARES, SpeechTransport
from mistral_voice.mistral.stream.client import Deadlines
from mistral_voice.runtime.flags import add_flag


@dataclass(frozen=True)
class Settings:
    """The process's own settings; what it serves is in the configuration file. Port 0 takes any free port."""

    config: Path
    host: str
    client_port: int
    metrics_port: int
    log_level: str
    accept_seconds: float
    deadlines: Deadlines
    speech_spares: int = MOST_SPARES
    speech_transport: SpeechTransport = SpeechTransport.AUTO
    client_limits: ClientLimits = field(default_factory=ClientLimits)


def parse(argv: Sequence[str]) -> Settings:
    """Read the command line. Each flag's default comes from the environment variable `MISTRAL_VOICE_<FLAG>`."""
    parser = argparse.ArgumentParser(prog="mistral-voice gateway", description="Hold live voice sessions of one integration.")
    add_flag(parser, "config", CONFIG_FILE, Path, "the file gateway.json that the operator writes")
    add_flag(parser, "host", "0.0.0.0", str, "address to listen on")
    add_flag(parser, "client-port", CLIENT_PORT, int, "port of the clients")
    add_flag(parser, "metrics-port", METRICS_PORT, int, "port of /healthz, /readyz and /metrics")
    add_flag(parser, "log-level", "info", str, "debug, info, warning or error")
    add_flag(parser, "drain-accept-seconds", 5.0, float, "how long new connections are accepted after SIGTERM")
    defaults = Deadlines()
    add_flag(parser, "upstream-connect-seconds", defaults.connect_seconds, float, "deadline for a connection to Mistral")
    add_flag(parser, "upstream-read-seconds", defaults.read_seconds, float, "deadline for the next data from Mistral")
    add_flag(parser, "upstream-write-seconds", defaults.write_seconds, float, "deadline for Mistral to take our data")
    add_flag(parser, "speech-spares", MOST_SPARES, int, "speech sockets kept open ahead of replies, at most")
    add_flag(parser, "speech-transport", SpeechTransport.AUTO.value, SpeechTransport, "auto, realtime (sockets only) or http")
    limits = ClientLimits()
    add_flag(
        parser, "client-idle-seconds", limits.idle_seconds, float, "a session in which nothing is exchanged for so long ends; 0: never"
    )
    given = parser.parse_args(argv)
    return Settings(
        config=given.config,
        host=given.host,
        client_port=given.client_port,
        metrics_port=given.metrics_port,
        log_level=given.log_level,
        accept_seconds=given.drain_accept_seconds,
        deadlines=Deadlines(given.upstream_connect_seconds, given.upstream_read_seconds, given.upstream_write_seconds),
        speech_spares=given.speech_spares,
        speech_transport=given.speech_transport,
        client_limits=structs.replace(limits, idle_seconds=given.client_idle_seconds),
    )
