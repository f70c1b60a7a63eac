"""One transaction of the ledger: lock, read, decide, write. It carries out many operations at once, each decided after the other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from mistral_voice.contract.lease import KeyReference, LeaseAnswer, Refusal, RefusalReason
from mistral_voice.controlplane.ledger.decisions import Decision, Known, KnownPlan, admit, expire, release, renew
from mistral_voice.controlplane.ledger.desk import Desk, Read, scopes_to_lock
from mistral_voice.controlplane.ledger.operations import Admit, Expire, Operation, Release, Renew, epoch_of
from mistral_voice.controlplane.ledger.records import Balance, Entry, Session, Tenant
from mistral_voice.controlplane.ledger.window import window_of
from mistral_voice.controlplane.store import reading, writing
from mistral_voice.controlplane.store.database import Database

ChooseKey = Callable[[str, KeyReference | None, int], KeyReference | Refusal]
"""Given a pool's name, the key that the session has had, and the time, returns the key for it, or why there is none."""


NOBODY: Final = Tenant("", "", "")
"""Stands for the tenant of a session that nobody knows."""


async def carry_out(
    database: Database, operations: Sequence[Operation], plans: Mapping[str, KnownPlan], choose_key: ChooseKey
) -> tuple[list[LeaseAnswer | None], Sequence[Entry]]:
    """Carry out operations in one transaction; return their answers, and what was charged.

    Raises SQLAlchemyError, and then nothing was done.

    On PostgreSQL the rows of the tenants' balances are locked first and in one order for all, so that transactions about the same tenant
    follow each other and those about different tenants don't; on SQLite one transaction follows the other anyway. The time is looked at
    under these locks, so that it never goes back from one transaction about a tenant to the next.
    """
    async with database.writing() as connection:
        desk, tenants = await _gather(database, connection, operations, plans)
        answers = [_decide(desk, operation, tenants, choose_key) for operation in operations]
        await writing.write(connection, database.dialect, desk.written)
    return answers, desk.written.entries


async def _gather(
    database: Database, connection: AsyncConnection, operations: Sequence[Operation], plans: Mapping[str, KnownPlan]
) -> tuple[Desk, dict[str, Tenant]]:
    names = [epoch_of(operation)[0] for operation in operations]
    # Whose a session is never changes, so this may be read before its tenant is locked.
    known = await reading.sessions(connection, names)
    tenants = {name: session.tenant for name, session in known.items()}
    asking = [tenant for tenant in map(_tenant_of, operations) if tenant is not None]
    scopes = scopes_to_lock([*tenants.values(), *asking], plans)
    balances, now = await reading.locked(database, connection, scopes)
    missing = [scope for scope in scopes if scope not in balances and scope.plan in plans]
    if missing:
        made = [Balance(scope, window_of(plans[scope.plan].spec, now)) for scope in missing]
        await writing.make_balances(connection, database.dialect, made)
        balances, now = await reading.locked(database, connection, scopes)
    sessions = await reading.sessions(connection, names)
    read = Read(
        sessions=sessions,
        # Sessions that nobody knows have neither.
        holds=await reading.holds(connection, sessions) if sessions else {},
        counted=await reading.counted(connection, sessions) if sessions else {},
        balances=balances,
        held=await reading.held(connection, scopes, now),
    )
    return Desk(now, plans, read), tenants


def _decide(desk: Desk, operation: Operation, tenants: Mapping[str, Tenant], choose_key: ChooseKey) -> LeaseAnswer | None:
    name, epoch = epoch_of(operation)
    session = desk.session(name)
    tenant = (session.tenant if session is not None else None) or _tenant_of(operation) or tenants.get(name) or NOBODY
    known = desk.known(name, epoch, tenant)
    decision = _decision(operation, known, session, choose_key)
    desk.take_in(decision, tenant)
    return decision.answer


def _decision(operation: Operation, known: Known, session: Session | None, choose_key: ChooseKey) -> Decision:
    match operation:
        case Admit(request):
            return admit(request, _key(known, session, choose_key), known)
        case Renew(report):
            return renew(report, known)
        case Release(report):
            return release(report, known)
        case Expire():
            return expire(known)


def _key(known: Known, session: Session | None, choose_key: ChooseKey) -> KeyReference | Refusal:
    if known.plan is None:
        return Refusal(RefusalReason.PLAN_NOT_FOUND, "Without a plan there is no key.")
    return choose_key(known.plan.spec.pool_ref.name, session.key if session is not None else None, known.now)


def _tenant_of(operation: Operation) -> Tenant | None:
    if not isinstance(operation, Admit):
        return None
    return Tenant(operation.request.plan, operation.request.namespace, operation.request.integration)
