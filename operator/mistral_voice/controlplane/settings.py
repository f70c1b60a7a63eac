"""How the control plane process is called."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mistral_voice.controlplane.store.retention import Retention
from mistral_voice.runtime.flags import add_flag


@dataclass(frozen=True)
class Settings:
    """The process's settings. Port 0 takes any free port. `database_url_file` names a file with the URL, which may hold a password."""

    name: str
    host: str
    port: int
    metrics_port: int
    database_url_file: Path | None
    database_url: str
    brokers: frozenset[str]
    tls_directory: Path | None
    lease_name: str
    log_level: str
    retention: Retention = field(default_factory=Retention)
    backup_directory: Path | None = None
    backup_every_seconds: int = 3600
    backup_keep: int = 48

    def url(self) -> str:
        """Return the database's URL. Raises OSError if its file can't be read."""
        return self.database_url_file.read_text(encoding="utf-8").strip() if self.database_url_file is not None else self.database_url


def parse(argv: Sequence[str]) -> Settings:
    """Read the command line. Each flag's default comes from the environment variable `MISTRAL_VOICE_<FLAG>`."""
    parser = argparse.ArgumentParser(prog="mistral-voice control-plane", description="Managed mode's memory: leases, ledger, keys.")
    add_flag(parser, "name", "", str, "this replica's own name, such as its pod's")
    add_flag(parser, "host", "0.0.0.0", str, "address to listen on")
    add_flag(parser, "port", 8443, int, "port of the brokers")
    add_flag(parser, "metrics-port", 9090, int, "port of /healthz, /readyz and /metrics")
    add_flag(parser, "database-url", "sqlite:////var/lib/mistral-voice/ledger.db", str, "sqlite:///path or postgresql://…")
    add_flag(parser, "database-url-file", "", str, "file that holds the database's URL; it takes the place of --database-url")
    add_flag(parser, "brokers", "", str, "ServiceAccounts of brokers, namespace/name, with commas between")
    add_flag(parser, "tls-directory", "", str, "directory with tls.crt and tls.key; without one there is no TLS")
    add_flag(parser, "lease-name", "mistral-voice-control-plane", str, "Lease of the replica that writes the pools' status")
    add_flag(parser, "keep-session-days", 30, _at_least_one, "days that a session and its use are kept after its end")
    add_flag(parser, "keep-entry-days", 400, _at_least_one, "days that the ledger's entries are kept; sums of periods stay for good")
    add_flag(parser, "keep-audit-days", 90, _at_least_one, "days that the audit is kept")
    add_flag(parser, "backup-directory", "", str, "directory for SQLite's scheduled backups; without one there are none")
    add_flag(parser, "backup-every-seconds", 3600, _at_least_one, "seconds from one backup to the next")
    add_flag(parser, "backup-keep", 48, _at_least_one, "how many backups are kept")
    add_flag(parser, "log-level", "info", str, "debug, info, warning or error")
    given = parser.parse_args(argv)
    for needed in ("name", "brokers"):
        if not getattr(given, needed):
            parser.error(f"--{needed} is needed")
    return Settings(
        name=given.name,
        host=given.host,
        port=given.port,
        metrics_port=given.metrics_port,
        database_url_file=Path(given.database_url_file) if given.database_url_file else None,
        database_url=given.database_url,
        brokers=frozenset(name.strip() for name in given.brokers.split(",") if name.strip()),
        tls_directory=Path(given.tls_directory) if given.tls_directory else None,
        lease_name=given.lease_name,
        log_level=given.log_level,
        retention=Retention(given.keep_session_days, given.keep_entry_days, given.keep_audit_days),
        backup_directory=Path(given.backup_directory) if given.backup_directory else None,
        backup_every_seconds=given.backup_every_seconds,
        backup_keep=given.backup_keep,
    )


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number
