"""A control plane that remembers in a dictionary and speaks the leases' wire: enough to try a broker before a real one.

Tests set what it answers; `leases`, `renewals`, `releases` and `reports` are what it was told, each thing once: a broker that is kept
waiting for an answer says the same again.
"""

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from aiohttp import web

from mistral_voice.contract.lease import (
    KEYS_PATH,
    LEASES_PATH,
    RELEASE_PATH,
    RENEW_PATH,
    KeyOrders,
    KeyReference,
    KeyReport,
    KeySync,
    LeaseGrant,
    LeaseReport,
    LeaseRequest,
    Refusal,
    RefusalReason,
    Usage,
    decode,
)

_Told = TypeVar("_Told")


@dataclass
class SmallControlPlane:
    """What it answers, and what it was told."""

    key: KeyReference
    base_url: str = ""
    quantum_seconds: int = 30
    renew_after_seconds: int = 20
    offline_grace_seconds: int = 60
    refusal: Refusal | None = None
    renewal_refusal: Refusal | None = None
    is_down: bool = False
    probe: tuple[KeyReference, ...] = ()
    leases: list[LeaseRequest] = field(default_factory=list)
    renewals: list[LeaseReport] = field(default_factory=list)
    releases: list[LeaseReport] = field(default_factory=list)
    reports: list[KeyReport] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    _epochs: dict[str, tuple[int, str]] = field(default_factory=dict)

    def usage_of(self, session: str) -> list[Usage]:
        """Return the last usage of each epoch that was released."""
        return [report.usage for report in self.releases if report.session == session]

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        app.router.add_post(LEASES_PATH, self._lease)
        app.router.add_post(RENEW_PATH, self._renew)
        app.router.add_post(RELEASE_PATH, self._release)
        app.router.add_post(KEYS_PATH, self._keys)
        return app

    async def _body(self, request: web.Request) -> bytes:
        if self.is_down:
            raise web.HTTPServiceUnavailable
        self.tokens.add(request.headers["Authorization"])
        return await request.read()

    async def _lease(self, request: web.Request) -> web.Response:
        wanted = decode(await self._body(request), LeaseRequest)
        _note(self.leases, (wanted,))
        if self.refusal is not None:
            return _json(self.refusal, 409)
        epoch, line = self._epochs.get(wanted.session, (0, ""))
        if epoch > wanted.epoch or (epoch == wanted.epoch and line != wanted.broker):
            return _json(Refusal(RefusalReason.EPOCH_OVER, "The session has moved."), 409)
        self._epochs[wanted.session] = wanted.epoch, wanted.broker
        return _json(self._grant(wanted.session, wanted.epoch))

    async def _renew(self, request: web.Request) -> web.Response:
        report = decode(await self._body(request), LeaseReport)
        _note(self.renewals, (report,))
        if self._epochs.get(report.session, (0, ""))[0] > report.epoch:
            return _json(Refusal(RefusalReason.EPOCH_OVER, "The session has moved."), 409)
        if self.renewal_refusal is not None:
            return _json(self.renewal_refusal, 409)
        return _json(self._grant(report.session, report.epoch))

    async def _release(self, request: web.Request) -> web.Response:
        _note(self.releases, (decode(await self._body(request), LeaseReport),))
        return web.Response(status=204)

    async def _keys(self, request: web.Request) -> web.Response:
        _note(self.reports, decode(await self._body(request), KeySync).reports)
        probe, self.probe = self.probe, ()
        return _json(KeyOrders(probe, 1))

    def _grant(self, session: str, epoch: int) -> LeaseGrant:
        return LeaseGrant(session, epoch, self.quantum_seconds, self.renew_after_seconds, self.offline_grace_seconds, self.key)


def _note(told: list[_Told], news: Iterable[_Told]) -> None:
    told.extend(one for one in news if one not in told)


def _json(message: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(message), content_type="application/json")


@contextlib.asynccontextmanager
async def running_control_plane(key: KeyReference, tls: ssl.SSLContext) -> AsyncIterator[SmallControlPlane]:
    """Run it on a free loopback port while the context lasts."""
    control_plane = SmallControlPlane(key)
    runner = web.AppRunner(control_plane.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        control_plane.base_url = f"https://localhost:{runner.addresses[0][1]}"
        yield control_plane
    finally:
        await runner.cleanup()
