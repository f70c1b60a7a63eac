"""One session as its broker holds it: its line, its lease, its key, and the calls under way."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mistral_voice.broker.entitlement import Entitlement
from mistral_voice.broker.keys import PinnedKey
from mistral_voice.broker.metering import Meter
from mistral_voice.broker.tickets import TICKET_SECONDS, Claims
from mistral_voice.contract.lease import LeaseGrant, LeaseReport, Open
from mistral_voice.kube.identity import Caller

MOST_CALLS: Final = 32
"""Calls of a session at the same time: several times what a gateway makes."""
_CUT_SECONDS: Final = 1.0

_log: Final = logging.getLogger(__name__)


class BrokerSession:
    """A session that may make calls. `line` is its line's name, `address` where that comes from; `began` is on the monotonic clock."""

    def __init__(
        self,
        line: str,
        caller: Caller,
        address: str,
        opened: Open,
        entitlement: Entitlement,
        grant: LeaseGrant,
        key: PinnedKey,
        began: float,
    ) -> None:
        self.line = line
        self.caller = caller
        self.address = address
        self.opened = opened
        self.entitlement = entitlement
        self.prolong(grant, began)
        self.key = key
        self.meter = Meter(began)
        self.ends_at: float | None = None
        """When all is over, on the monotonic clock, once that is known."""
        self.moves = asyncio.Event()
        """Set when the session is to move to another line: this broker drains, or the key is dead."""
        self._seq = 0
        self._calls: set[asyncio.Task[object]] = set()
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether no call is let in any more."""
        return self._is_over

    @property
    def has_room(self) -> bool:
        """Whether one more call is let in."""
        return len(self._calls) < MOST_CALLS

    def claims(self, now: float) -> Claims:
        """Return what a ticket of this moment says."""
        own = self.entitlement
        return Claims(
            line=self.line,
            namespace=own.namespace,
            integration=own.integration,
            integration_uid=own.integration_uid,
            pod=self.caller.pod,
            pod_uid=self.caller.pod_uid,
            session=self.opened.session,
            epoch=self.opened.epoch,
            iat=int(now),
            exp=int(now) + TICKET_SECONDS,
        )

    def prolong(self, grant: LeaseGrant, asked: float) -> None:
        """Take in a lease that was asked for at `asked` on the monotonic clock, from when its time is counted."""
        self.grant = grant
        self.lease_until = asked + grant.lease_seconds

    def fits(self, claims: Claims) -> bool:
        """Tell whether a ticket is this session's own."""
        own = self.entitlement
        return (claims.line, claims.session, claims.epoch, claims.pod_uid, claims.namespace, claims.integration_uid) == (
            self.line,
            self.opened.session,
            self.opened.epoch,
            self.caller.pod_uid,
            own.namespace,
            own.integration_uid,
        )

    def report(self, now: float) -> LeaseReport:
        """Return the usage so far, under the next number."""
        self._seq += 1
        return LeaseReport(self.opened.session, self.opened.epoch, self._seq, self.meter.usage(now))

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count the current task as a call of the session while the context lasts: it is cut off when the session ends."""
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("A call is made by a task.")
        self._calls.add(task)
        try:
            yield
        finally:
            self._calls.discard(task)

    async def cut(self) -> None:
        """End all calls, so that nothing is counted after this."""
        self._is_over = True
        calls = tuple(self._calls)
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls, timeout=_CUT_SECONDS)


class Sessions:
    """The sessions of this broker, by line."""

    def __init__(self) -> None:
        self._by_line: dict[str, BrokerSession] = {}
        self._are_to_move = False
        self.empty = asyncio.Event()
        self.empty.set()

    def __len__(self) -> int:
        return len(self._by_line)

    def __iter__(self) -> Iterator[BrokerSession]:
        return iter(tuple(self._by_line.values()))

    def get(self, line: str) -> BrokerSession | None:
        """Return the session of a line."""
        return self._by_line.get(line)

    def move_all(self) -> None:
        """Have all sessions move elsewhere, also those that are being admitted yet."""
        self._are_to_move = True
        for session in self:
            session.moves.set()

    @contextmanager
    def holding(self, session: BrokerSession) -> Iterator[None]:
        """Let the session make calls while the context lasts."""
        self._by_line[session.line] = session
        self.empty.clear()
        if self._are_to_move:
            session.moves.set()
        try:
            yield
        finally:
            del self._by_line[session.line]
            if not self._by_line:
                self.empty.set()
