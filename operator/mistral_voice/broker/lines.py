"""The session line: a gateway asks for a session, and hears of its tickets and its end, as long as the line stands."""

import asyncio
import contextlib
import logging
import secrets
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from mistral_voice.broker.control_plane import ControlPlane, LedgerUnavailableError
from mistral_voice.broker.directory import Directory
from mistral_voice.broker.entitlement import Entitlement, entitlement
from mistral_voice.broker.keeper import Keeper
from mistral_voice.broker.keys import KeyReports, KeyRing, KeyUnusableError
from mistral_voice.broker.leftovers import Leftovers
from mistral_voice.broker.metrics import BrokerMetrics
from mistral_voice.broker.session import BrokerSession, Sessions
from mistral_voice.broker.tickets import TICKET_SECONDS, Tickets
from mistral_voice.contract.lease import (
    FromBroker,
    KeyOutcome,
    LeaseGrant,
    LeaseReport,
    LeaseRequest,
    MessageError,
    Open,
    Opened,
    Refusal,
    RefusalReason,
    Usage,
    decode,
)
from mistral_voice.kube.identity import Caller
from mistral_voice.runtime.clock import Clock
from mistral_voice.runtime.logs import fields

OPEN_SECONDS: Final = 5.0
"""A gateway says what it wants within so long."""
MAX_MESSAGE_BYTES: Final = 16 * 1024
PING_SECONDS: Final = 10.0
_RELEASE_PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 20.0)

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """What all lines of a broker share. `name` is the broker's own, `address` where gateways find this very process."""

    name: str
    address: str
    directory: Directory
    control_plane: ControlPlane
    ring: KeyRing
    reports: KeyReports
    tickets: Tickets
    sessions: Sessions
    metrics: BrokerMetrics
    clock: Clock
    releases: Leftovers


class Line:
    """One session line, from its first message to its end."""

    def __init__(self, socket: web.WebSocketResponse[bool], caller: Caller, address: str, surroundings: Surroundings) -> None:
        self._socket = socket
        self._caller = caller
        self._address = address
        self._its = surroundings
        self._name = secrets.token_hex(16)

    async def run(self) -> None:
        """Serve the line until either side ends it."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                message = await self._socket.receive()
            if message.type is not WSMsgType.TEXT:
                return
            wanted = decode(message.data, Open)
        except TimeoutError:
            await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Say what you want.")
            return
        except MessageError as error:
            await self._socket.close(code=WSCloseCode.UNSUPPORTED_DATA, message=str(error).encode()[:120])
            return
        granted = await self._admit(wanted)
        if isinstance(granted, Refusal):
            await self._refuse(wanted, granted)
        else:
            await self._hold(granted)

    def _entitled(self, wanted: Open, *, begins: bool) -> Entitlement | Refusal:
        directory = self._its.directory
        integration = directory.of_service_account(self._caller.namespace, self._caller.service_account)
        plan = directory.plan(integration.plan) if integration is not None else None
        return entitlement(integration, plan, directory.labels_of(self._caller.namespace), wanted, begins=begins)

    async def _admit(self, wanted: Open) -> BrokerSession | Refusal:
        # A session that moves here has begun elsewhere, so a plan that is merely held lets it go on.
        entitled = self._entitled(wanted, begins=wanted.epoch == 1)
        if isinstance(entitled, Refusal):
            return entitled
        its, began = self._its, self._its.clock.monotonic()
        request = LeaseRequest(
            session=wanted.session,
            epoch=wanted.epoch,
            broker=f"{its.name}/{self._name}",
            namespace=entitled.namespace,
            integration=entitled.integration,
            integration_uid=entitled.integration_uid,
            plan=entitled.plan,
            models=entitled.models,
            model=wanted.model,
        )
        grant = await self._lease(request)
        if isinstance(grant, Refusal):
            return grant
        return await self._with_key(wanted, entitled, grant, began)

    async def _lease(self, request: LeaseRequest) -> LeaseGrant | Refusal:
        """Ask for the lease. If the gateway is gone before the answer, or there is none, what may have been granted is given back."""
        asking = asyncio.create_task(self._its.control_plane.lease(request))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            self._its.releases.add(self._give_back(request, asking))
            raise
        except (LedgerUnavailableError, OSError):
            self._release_later(_unused(request))
            return Refusal(RefusalReason.LEDGER_UNAVAILABLE, "The control plane can't be reached, so no session can begin at present.", 5)

    async def _give_back(self, request: LeaseRequest, asking: "asyncio.Task[LeaseGrant | Refusal]") -> None:
        try:
            answer = await asking
        except (LedgerUnavailableError, OSError):
            answer = None
        if not isinstance(answer, Refusal):
            await self._release(_unused(request))

    async def _with_key(self, wanted: Open, entitled: Entitlement, grant: LeaseGrant, began: float) -> BrokerSession | Refusal:
        its = self._its
        try:
            key = await its.ring.read(grant.key)
        except asyncio.CancelledError:
            self._release_later(_unused(wanted))
            raise
        except KeyUnusableError as error:
            _log.error("%s", error)
            its.reports.add(grant.key, "", KeyOutcome.SECRET_UNUSABLE)
            self._release_later(_unused(wanted))
            return Refusal(RefusalReason.POOL_EXHAUSTED, "The platform's key can't be read at present.", 2)
        return BrokerSession(self._name, self._caller, self._address, wanted, entitled, grant, key, began)

    async def _refuse(self, wanted: Open, refusal: Refusal) -> None:
        integration = self._its.directory.of_service_account(self._caller.namespace, self._caller.service_account)
        plan = integration.plan if integration is not None else ""
        record = self._its.directory.plan(plan)
        offered = record.specification.models.chat if record is not None and record.specification is not None else ()
        # Any other word may be the gateway's own invention.
        model = wanted.model if wanted.model in offered else ""
        self._its.metrics.refused(self._caller.namespace, plan, model, refusal.reason)
        _log.info(
            "A session was refused.",
            extra=fields(session=wanted.session, namespace=self._caller.namespace, plan=plan, reason=refusal.reason.value),
        )
        await self._send(refusal)
        await self._socket.close(code=WSCloseCode.POLICY_VIOLATION)

    async def _hold(self, session: BrokerSession) -> None:
        its, own = self._its, session.entitlement
        about = fields(session=session.opened.session, namespace=own.namespace, integration=own.integration, plan=own.plan)
        keeper = Keeper(
            session, its.control_plane, its.tickets, its.clock, self._send, lambda: self._entitled(session.opened, begins=False)
        )
        with its.ring.pinned(session.key), its.sessions.holding(session), its.metrics.holding(session):
            _log.info("A session begins.", extra={**about, "epoch": session.opened.epoch})
            try:
                await self._send(Opened(keeper.ticket().reveal(), TICKET_SECONDS, its.address))
                await self._until_over(keeper)
            finally:
                winding_up = its.releases.add(self._wind_up(session))
                if winding_up is not None:
                    await asyncio.shield(winding_up)
        _log.info("A session ended.", extra={**about, "epoch": session.opened.epoch})
        await self._socket.close(code=WSCloseCode.OK if session.ends_at is None else WSCloseCode.GOING_AWAY)

    async def _until_over(self, keeper: Keeper) -> None:
        """Return when the gateway closes the line or the session's time is over."""
        tasks = [asyncio.create_task(keeper.run()), asyncio.create_task(self._until_closed())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_closed(self) -> None:
        while True:
            message = await self._socket.receive()
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return

    async def _wind_up(self, session: BrokerSession) -> None:
        await session.cut()
        self._its.metrics.used(session)
        self._release_later(session.report(self._its.clock.monotonic()))

    def _release_later(self, report: LeaseReport) -> None:
        self._its.releases.add(self._release(report))

    async def _release(self, report: LeaseReport) -> None:
        for pause in (*_RELEASE_PAUSES, None):
            try:
                await self._its.control_plane.release(report)
            except (LedgerUnavailableError, OSError):
                if pause is not None:
                    await asyncio.sleep(pause)
            else:
                return
        _log.warning("A session's last usage could not be reported.", extra=fields(session=report.session, epoch=report.epoch))

    async def _send(self, message: FromBroker) -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.send_str(msgspec.json.encode(message).decode())


def _unused(asked: LeaseRequest | Open) -> LeaseReport:
    """Return the last report of an epoch that was never used."""
    return LeaseReport(asked.session, asked.epoch, 1, Usage())
