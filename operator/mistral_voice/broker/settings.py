"""How the broker process is called."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mistral_voice.runtime.flags import add_flag


@dataclass(frozen=True)
class Settings:
    """The process's settings. Port 0 takes any free port."""

    name: str
    host: str
    advertised_host: str
    port: int
    metrics_port: int
    tls_directory: Path
    pool_namespace: str
    control_plane_url: str
    control_plane_ca: str | None
    control_plane_token: Path
    log_level: str
    accept_seconds: float = 5.0
    drain_seconds: float = 60.0
    any_address: bool = False
    upstream_url: str | None = None
    upstream_ca: str | None = None


def parse(argv: Sequence[str]) -> Settings:
    """Read the command line. Each flag's default comes from the environment variable `MISTRAL_VOICE_<FLAG>`."""
    parser = argparse.ArgumentParser(prog="mistral-voice broker", description="Managed mode's way to Mistral.")
    add_flag(parser, "name", "", str, "this broker's own name, such as its pod's")
    add_flag(parser, "host", "0.0.0.0", str, "address to listen on")
    add_flag(parser, "advertised-host", "", str, "address under which gateways reach this very process: its pod's")
    add_flag(parser, "port", 8443, int, "port of the gateways, with TLS")
    add_flag(parser, "metrics-port", 9090, int, "port of /healthz, /readyz and /metrics")
    add_flag(parser, "tls-directory", "/etc/mistral-voice/tls", Path, "directory with tls.crt and tls.key")
    add_flag(parser, "pool-namespace", "", str, "namespace of the pools' Secrets")
    add_flag(parser, "control-plane-url", "", str, "https address of the control plane")
    add_flag(parser, "control-plane-ca", "", str, "PEM file with the control plane's certificate authority; the system's if empty")
    add_flag(
        parser, "control-plane-token", "/var/run/secrets/mistral-voice/token", Path, "file with this pod's token for the control plane"
    )
    add_flag(parser, "log-level", "info", str, "debug, info, warning or error")
    add_flag(parser, "drain-accept-seconds", 5.0, float, "how long new lines are accepted after SIGTERM")
    add_flag(parser, "drain-seconds", 60.0, float, "how long sessions may take to move elsewhere, after that")
    add_flag(
        parser,
        "any-address",
        "false",
        _truth,
        "true: take tickets also from another address than their line's, where the network changes addresses",
    )
    add_flag(parser, "upstream-url", "", str, "for tests with a simulator: takes the place of Mistral's hosts")
    add_flag(parser, "upstream-ca", "", str, "for tests with a simulator: PEM file with its certificate authority")
    given = parser.parse_args(argv)
    for needed in ("name", "advertised_host", "pool_namespace", "control_plane_url"):
        if not getattr(given, needed):
            parser.error(f"--{needed.replace('_', '-')} is needed")
    return Settings(
        name=given.name,
        host=given.host,
        advertised_host=given.advertised_host,
        port=given.port,
        metrics_port=given.metrics_port,
        tls_directory=given.tls_directory,
        pool_namespace=given.pool_namespace,
        control_plane_url=given.control_plane_url,
        control_plane_ca=given.control_plane_ca or None,
        control_plane_token=given.control_plane_token,
        log_level=given.log_level,
        accept_seconds=given.drain_accept_seconds,
        drain_seconds=given.drain_seconds,
        any_address=given.any_address,
        upstream_url=given.upstream_url or None,
        upstream_ca=given.upstream_ca or None,
    )


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError("must be true or false")
    return text == "true"
