"""Keeps a session going: tickets and leases are renewed in time, each only after a new look at what the integration may have."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from mistral_voice.broker.control_plane import ControlPlane, LedgerUnavailableError
from mistral_voice.broker.entitlement import Entitlement
from mistral_voice.broker.session import BrokerSession
from mistral_voice.broker.tickets import TICKET_SECONDS, Tickets
from mistral_voice.contract.lease import Ends, FromBroker, LeaseGrant, Moving, Refusal, RefusalReason, Ticket
from mistral_voice.contract.secret import Secret
from mistral_voice.runtime.clock import Clock

TICKET_AGAIN_SECONDS: Final = TICKET_SECONDS / 2
RETRY_SECONDS: Final = 2.0
LAST_WORD_SECONDS: Final = 20.0
"""So long before the end for want of a control plane the gateway is told."""
MOVING_SECONDS: Final = 30
"""A session that is to move has so long for its turn."""


class Keeper:
    """One session's renewals. `entitled` looks again at what the integration may have."""

    def __init__(
        self,
        session: BrokerSession,
        control_plane: ControlPlane,
        tickets: Tickets,
        clock: Clock,
        send: Callable[[FromBroker], Awaitable[None]],
        entitled: Callable[[], Entitlement | Refusal],
    ) -> None:
        self._session = session
        self._control_plane = control_plane
        self._tickets = tickets
        self._clock = clock
        self._send = send
        self._entitled = entitled
        now = clock.monotonic()
        self._ticket_due = now + TICKET_AGAIN_SECONDS
        self._renew_due = now + session.grant.renew_after_seconds
        self._has_moved = False

    def ticket(self) -> Secret:
        """Return a ticket of now."""
        return self._tickets.issue(self._session.claims(self._clock.wall()))

    async def run(self) -> None:
        """Renew until the session's time is over."""
        session = self._session
        while session.ends_at is None or self._clock.monotonic() < session.ends_at:
            await self._pause()
            if session.moves.is_set() and not self._has_moved:
                await self._move()
            if session.ends_at is not None:
                continue
            now = self._clock.monotonic()
            if now >= self._ticket_due:
                await self._renew_ticket()
            if now >= self._renew_due and session.ends_at is None:
                await self._renew_lease()

    async def _pause(self) -> None:
        """Sleep until something is due, or the session is to move."""
        session = self._session
        left = max(0.0, min(self._ticket_due, self._renew_due) - self._clock.monotonic())
        if session.ends_at is not None:
            left = max(0.0, session.ends_at - self._clock.monotonic())
        if self._has_moved:
            await asyncio.sleep(left)
            return
        try:
            async with asyncio.timeout(left):
                await session.moves.wait()
        except TimeoutError:
            return

    async def _move(self) -> None:
        self._has_moved = True
        await self._send(Moving(MOVING_SECONDS))

    async def _renew_ticket(self) -> None:
        entitled = self._entitled()
        if isinstance(entitled, Refusal):
            await self._end(entitled, self._session.lease_until)
            return
        self._ticket_due = self._clock.monotonic() + TICKET_AGAIN_SECONDS
        await self._send(Ticket(self.ticket().reveal(), TICKET_SECONDS))

    async def _renew_lease(self) -> None:
        session = self._session
        entitled = self._entitled()
        if isinstance(entitled, Refusal):
            await self._end(entitled, session.lease_until)
            return
        if (entitled.plan, entitled.integration_uid) != (session.entitlement.plan, session.entitlement.integration_uid):
            message = "The integration claims another plan now, or was made anew; begin a new session."
            await self._end(Refusal(RefusalReason.LEASE_EXPIRED, message, 0), session.lease_until)
            return
        asked = self._clock.monotonic()
        try:
            answer = await self._control_plane.renew(session.report(asked))
        except (LedgerUnavailableError, OSError):
            await self._go_on_without()
            return
        if isinstance(answer, LeaseGrant):
            session.prolong(answer, asked)
            session.entitlement = entitled
            self._renew_due = self._clock.monotonic() + max(1, answer.renew_after_seconds)
        elif answer.reason is RefusalReason.EPOCH_OVER:
            # The session has moved: what is under way here may end within the lease, and its gateway knows already.
            session.ends_at = max(self._clock.monotonic() + 1, session.lease_until)
        else:
            await self._end(answer, session.lease_until)

    async def _go_on_without(self) -> None:
        """The control plane is out of reach: the session goes on for the grace period, and is told before that is over."""
        self._renew_due = self._clock.monotonic() + RETRY_SECONDS
        grace = self._session.grant.offline_grace_seconds
        latest = self._session.lease_until + grace
        if self._clock.monotonic() >= latest - min(LAST_WORD_SECONDS, grace / 2):
            message = "The control plane could not be reached for too long, so the session can't go on."
            await self._end(Refusal(RefusalReason.LEDGER_UNAVAILABLE, message), latest)

    async def _end(self, refusal: Refusal, at: float) -> None:
        left = max(2, int(at - self._clock.monotonic()))
        self._session.ends_at = self._clock.monotonic() + left
        await self._send(Ends(left, refusal.reason, refusal.message))
