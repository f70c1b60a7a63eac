"""The ledger: what it is asked for waits in a queue, and one transaction takes along all that waits.

While a transaction runs, others' requests gather; the next transaction carries them out together. So a database that flushes its disk five
hundred times a second grants many times as many leases, and nobody waits for a timer.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from mistral_voice.contract.lease import LeaseAnswer, LeaseReport, LeaseRequest, Refusal, RefusalReason
from mistral_voice.controlplane.ledger.decisions import KnownPlan
from mistral_voice.controlplane.ledger.operations import Admit, Expire, Operation, Release, Renew
from mistral_voice.controlplane.ledger.records import Entry
from mistral_voice.controlplane.ledger.transaction import ChooseKey, carry_out
from mistral_voice.controlplane.store import reading
from mistral_voice.controlplane.store.database import Database, Dialect

_log: Final = logging.getLogger(__name__)

SWEEP_MOST: Final = 500


class LedgerUnavailable(Exception):
    """The database doesn't answer; nothing is known of what was asked. Asking again is safe."""


@dataclass(frozen=True, slots=True)
class LedgerLimits:
    """How much may wait: requests in all, those for a new lease of one namespace, and how many one transaction takes along."""

    waiting: int = 2_000
    waiting_of_namespace: int = 200
    batch: int = 64


@dataclass(slots=True)
class _Waiting:
    operation: Operation
    answer: asyncio.Future[LeaseAnswer | None]


class Ledger:
    """Grants, renews and takes back leases. `run` must run meanwhile. `charged` hears what was committed."""

    def __init__(
        self,
        database: Database,
        plans: Callable[[], Mapping[str, KnownPlan]],
        choose_key: ChooseKey,
        limits: LedgerLimits | None = None,
        charged: Callable[[Sequence[Entry]], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._plans = plans
        self._choose_key = choose_key
        self._charged = charged
        self._limits = limits or LedgerLimits()
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(self._limits.waiting)
        self._asking: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """Return how many requests wait for a transaction."""
        return self._queue.qsize()

    async def admit(self, request: LeaseRequest) -> LeaseAnswer:
        """Ask for a session's first lease under an epoch. Raises `LedgerUnavailable`."""
        if self._asking[request.namespace] >= self._limits.waiting_of_namespace:
            return _too_many(f"Namespace {request.namespace} asks for more sessions at once than are looked at.")
        self._asking[request.namespace] += 1
        try:
            return _certain(await self._ask(Admit(request)))
        finally:
            self._asking[request.namespace] -= 1
            if not self._asking[request.namespace]:
                del self._asking[request.namespace]

    async def renew(self, report: LeaseReport) -> LeaseAnswer:
        """Tell of a session's use and ask for more. Raises `LedgerUnavailable`."""
        return _certain(await self._ask(Renew(report)))

    async def release(self, report: LeaseReport) -> Refusal | None:
        """Tell of all that a session used under an epoch, which is over. Raises `LedgerUnavailable`."""
        answer = await self._ask(Release(report))
        return answer if isinstance(answer, Refusal) else None

    async def sweep(self) -> int:
        """Settle leases that ran out; returns how many. Raises `LedgerUnavailable`."""
        try:
            async with self._database.reading() as connection:
                overdue = await reading.overdue(connection, await self._database.now(connection), SWEEP_MOST)
        except SQLAlchemyError as error:
            raise LedgerUnavailable(_cause(error)) from error
        for start in range(0, len(overdue), self._limits.batch):
            expired: list[Operation] = [Expire(hold.session, hold.epoch) for hold in overdue[start : start + self._limits.batch]]
            await self._in_one_transaction(expired)
        return len(overdue)

    async def run(self) -> None:
        """Carry out what is asked for, for ever; cancel it."""
        workers = 1 if self._database.dialect is Dialect.SQLITE else 2
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(workers):
                    group.create_task(self._work(), name=f"ledger {number}")
        finally:
            while not self._queue.empty():
                _fail(self._queue.get_nowait(), LedgerUnavailable("The control plane stops."))

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._limits.batch and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            # What nobody waits for any more isn't begun: its session would hold a place for a quantum.
            batch = [waiting for waiting in batch if not waiting.answer.done()]
            try:
                await self._serve(batch)
            finally:
                for waiting in batch:
                    _fail(waiting, LedgerUnavailable("The control plane stops."))

    async def _serve(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        try:
            answers = await self._in_one_transaction([waiting.operation for waiting in batch])
        except LedgerUnavailable as error:
            for waiting in batch:
                _fail(waiting, error)
        except DBAPIError as error:
            await self._serve_singly(batch, error)
        except SQLAlchemyError as error:
            # No connection was to be had in time, or one was lost at an awkward moment.
            for waiting in batch:
                _fail(waiting, LedgerUnavailable(_cause(error)))
        else:
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)

    async def _serve_singly(self, batch: list[_Waiting], error: DBAPIError) -> None:
        """Find the one that the database can't take, so that the others don't suffer."""
        if len(batch) == 1:
            _log.error("The database refuses a request: %s", _cause(error))
            _fail(batch[0], LedgerUnavailable(_cause(error)))
            return
        for waiting in batch:
            await self._serve([waiting])

    async def _in_one_transaction(self, operations: list[Operation]) -> list[LeaseAnswer | None]:
        """Carry out operations; once more if the connection was lost, also at the commit: whatever is done twice counts once."""
        try:
            return await self._carry_out(operations)
        except (OperationalError, OSError) as error:
            _log.info("A transaction of the ledger is done again: %s", _cause(error))
        try:
            return await self._carry_out(operations)
        except (OperationalError, OSError, TimeoutError) as error:
            raise LedgerUnavailable(_cause(error)) from error

    async def _carry_out(self, operations: list[Operation]) -> list[LeaseAnswer | None]:
        answers, charged = await carry_out(self._database, operations, self._plans(), self._choose_key)
        self._charged(charged)
        return answers

    async def _ask(self, operation: Operation) -> LeaseAnswer | None:
        waiting = _Waiting(operation, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(waiting)
        except asyncio.QueueFull:
            return _too_many("More leases are asked for at once than can be looked at.")
        return await waiting.answer


def _fail(waiting: _Waiting, error: LedgerUnavailable) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):
        waiting.answer.set_exception(error)


def _certain(answer: LeaseAnswer | None) -> LeaseAnswer:
    if answer is None:
        raise LedgerUnavailable("There is no answer.")
    return answer


def _too_many(sentence: str) -> Refusal:
    return Refusal(RefusalReason.TOO_MANY_REQUESTS, sentence, 1)


def _cause(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
