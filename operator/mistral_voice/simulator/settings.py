"""What the process `mistral-voice simulator` is told at its start."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mistral_voice.contract.credential import CredentialError, parse_api_key
from mistral_voice.contract.secret import Secret
from mistral_voice.simulator.dialect import Dialect
from mistral_voice.simulator.errors import SimulatorError
from mistral_voice.simulator.keys import ALL_SCOPES, DEFAULT_DOMAIN, Key, KeyState, Scope

DEFAULT_PORT = 8090
_PREFIX = "MISTRAL_VOICE_"


class SettingsError(SimulatorError):
    """A setting that can't be used; the text says which and why."""


@dataclass(frozen=True)
class Settings:
    """The settings of a simulator process."""

    host: str
    port: int
    live: bool
    keys: tuple[Key, ...]
    script: Path | None
    dialect: Dialect
    tls_cert: Path | None
    tls_key: Path | None
    admin_token: Secret | None
    max_sockets: int
    live_workers: int
    log_level: str


def parse(argv: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings that the command line and the environment give. Raises SettingsError; exits on `--help` and unknown flags."""
    given = _parser(environment).parse_args(list(argv))
    if (given.tls_cert is None) != (given.tls_key is None):
        raise SettingsError("Give both --tls-cert and --tls-key, or neither.")
    return Settings(
        host=given.host,
        port=given.port,
        live=given.live,
        keys=(*_inline_keys(given.keys), *(_keys_from_file(given.keys_file) if given.keys_file else ())),
        script=given.script,
        dialect=_dialect(given.dialect),
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        admin_token=_token(given.admin_token_file) if given.admin_token_file else None,
        max_sockets=given.max_sockets,
        live_workers=given.live_workers,
        log_level=given.log_level,
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mistral-voice simulator", description="Serve Mistral's API, simulated: scripted, or live with --live."
    )

    def path(name: str) -> Path | None:
        return Path(environment[_PREFIX + name]) if environment.get(_PREFIX + name) else None

    parser.add_argument("--host", default=environment.get(_PREFIX + "HOST", "0.0.0.0"), help="address to listen on (default: all)")
    parser.add_argument(
        "--port",
        type=int,
        default=environment.get(_PREFIX + "PORT", str(DEFAULT_PORT)),
        help=f"port to listen on (default: {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--live",
        action=argparse.BooleanOptionalAction,
        default=environment.get(_PREFIX + "LIVE", "") in ("1", "true", "yes"),
        help="hear and speak for real, offline; needs the `live` extra",
    )
    parser.add_argument(
        "--keys",
        default=environment.get(_PREFIX + "KEYS", ""),
        help="test keys: id=value,id=value (they are no secrets: put real ones nowhere)",
    )
    parser.add_argument("--keys-file", type=Path, default=path("KEYS_FILE"), help="JSON list of {id, value, scopes, state, domain}")
    parser.add_argument("--script", type=Path, default=path("SCRIPT"), help="JSON file with the default script")
    parser.add_argument("--dialect", default=environment.get(_PREFIX + "DIALECT", "{}"), help="JSON object: readings of disputed points")
    parser.add_argument("--tls-cert", type=Path, default=path("TLS_CERT"), help="PEM file; with --tls-key the simulator serves TLS")
    parser.add_argument("--tls-key", type=Path, default=path("TLS_KEY"), help="PEM file")
    parser.add_argument(
        "--admin-token-file",
        type=Path,
        default=path("ADMIN_TOKEN_FILE"),
        help="bearer for /_simulator/; without one it answers only to loopback",
    )
    parser.add_argument(
        "--max-sockets", type=int, default=environment.get(_PREFIX + "MAX_SOCKETS", "5000"), help="realtime sockets at once"
    )
    parser.add_argument(
        "--live-workers", type=int, default=environment.get(_PREFIX + "LIVE_WORKERS", "2"), help="threads that hear and speak in live mode"
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default=environment.get(_PREFIX + "LOG_LEVEL", "info"),
        help="default: info",
    )
    return parser


class _KeyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    value: str
    scopes: list[Scope] | None = None
    state: KeyState = KeyState.VALID
    domain: str = DEFAULT_DOMAIN


def _inline_keys(text: str) -> list[Key]:
    keys = []
    for number, item in enumerate(part for part in text.split(",") if part.strip()):
        key_id, found, value = item.strip().partition("=")
        if not found or not key_id:
            raise SettingsError(f"--keys: entry {number + 1} is not of the form id=value.")
        keys.append(_key(_KeyEntry(key_id, value), f"--keys: key {key_id!r}"))
    return keys


def _keys_from_file(path: Path) -> list[Key]:
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=list[_KeyEntry])
    except OSError as error:
        raise SettingsError(f"--keys-file: {path} can't be read: {error.strerror}.") from error
    except msgspec.MsgspecError as error:
        raise SettingsError(f"--keys-file: {path}: {error}.") from error
    return [_key(entry, f"--keys-file: key {entry.id!r}") for entry in entries]


def _key(entry: _KeyEntry, where: str) -> Key:
    try:
        secret = parse_api_key(entry.value.encode()).secret
    except CredentialError as error:
        raise SettingsError(f"{where}: {error}") from error
    return Key(entry.id, secret, ALL_SCOPES if entry.scopes is None else frozenset(entry.scopes), entry.state, entry.domain)


def _dialect(text: str) -> Dialect:
    try:
        return msgspec.json.decode(text, type=Dialect)
    except msgspec.MsgspecError as error:
        raise SettingsError(f"--dialect: {error}.") from error


def _token(path: Path) -> Secret:
    try:
        return parse_api_key(path.read_bytes()).secret
    except OSError as error:
        raise SettingsError(f"--admin-token-file: {path} can't be read: {error.strerror}.") from error
    except CredentialError as error:
        raise SettingsError(f"--admin-token-file: {path}: {error}") from error
