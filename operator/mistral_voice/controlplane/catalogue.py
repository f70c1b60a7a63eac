"""The plans and pools of the moment, and the memory of plans that are gone, whose sessions still have to be priced."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from mistral_voice.contract.v1alpha1.plan import PlanSpecification
from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification
from mistral_voice.controlplane.audit_log import tell
from mistral_voice.controlplane.ledger.decisions import KnownPlan
from mistral_voice.controlplane.ledger.ledger import LedgerUnavailable
from mistral_voice.controlplane.ledger.records import AuditEntry
from mistral_voice.controlplane.store import reading, schema
from mistral_voice.controlplane.store.database import Database
from mistral_voice.controlplane.store.writing import add_audit


class Catalogue:
    """Fed with plans and pools by whoever watches them."""

    def __init__(self) -> None:
        self._plans: dict[str, KnownPlan] = {}
        self._pools: dict[str, KeyPoolSpecification] = {}

    @property
    def plans(self) -> Mapping[str, KnownPlan]:
        """Return all plans, those that are gone too."""
        return self._plans

    @property
    def pools(self) -> Mapping[str, KeyPoolSpecification]:
        """Return all pools."""
        return self._pools

    def set_plan(self, name: str, spec: PlanSpecification) -> None:
        """Take in a plan as it stands."""
        self._plans = {**self._plans, name: KnownPlan(spec)}

    def remove_plan(self, name: str) -> None:
        """Take in that a plan is gone."""
        if name in self._plans:
            self._plans = {**self._plans, name: KnownPlan(self._plans[name].spec, deleted=True)}

    def set_pool(self, name: str, spec: KeyPoolSpecification) -> None:
        """Take in a pool as it stands."""
        self._pools = {**self._pools, name: spec}

    def remove_pool(self, name: str) -> None:
        """Take in that a pool is gone."""
        self._pools = {other: spec for other, spec in self._pools.items() if other != name}

    async def recall(self, database: Database) -> None:
        """Take in what was known before this process began; whatever is not listed since is gone. Raises `LedgerUnavailable`."""
        try:
            async with database.reading() as connection:
                known = await reading.plans(connection)
        except SQLAlchemyError as error:
            raise LedgerUnavailable(str(error)) from error
        self._plans = {**{name: KnownPlan(plan.spec, deleted=True) for name, plan in known.items()}, **self._plans}

    async def keep(self, database: Database) -> None:
        """Write down plans that have changed. Raises `LedgerUnavailable`."""
        table, plans = schema.plans, self._plans
        happened: list[AuditEntry] = []
        try:
            async with database.writing() as connection:
                # In the order of their names, as every replica does it.
                rows = {row.name: row for row in await connection.execute(select(table).order_by(table.c.name).with_for_update())}
                now = await database.now(connection)
                for name, plan in sorted(plans.items()):
                    text = plan.spec.model_dump_json(by_alias=True, exclude_none=True)
                    row = rows.get(name)
                    if row is not None and row.spec == text and (row.deleted_at is not None) is plan.deleted:
                        continue
                    values = {"name": name, "spec": text, "changed_at": now, "deleted_at": now if plan.deleted else None}
                    if row is None:
                        await connection.execute(insert(table), [values])
                    else:
                        await connection.execute(update(table).where(table.c.name == name), values)
                    happened.append(_event(name, plan, row.spec if row is not None and row.deleted_at is None else None, now))
                await add_audit(connection, database.dialect, happened)
        except (SQLAlchemyError, OSError) as error:
            raise LedgerUnavailable(str(error).partition("\n")[0]) from error
        tell(happened)


def _event(name: str, plan: KnownPlan, before: str | None, now: int) -> AuditEntry:
    """Return what is kept of a plan's change. `before` is the spec that stood until now."""
    if plan.deleted:
        return AuditEntry(now, "PlanDeleted", name, message=f"Plan {name} was deleted.")
    if before is None:
        return AuditEntry(now, "PlanChanged", name, message=f"Plan {name} is new.")
    was = msgspec.json.decode(before, type=dict[str, msgspec.Raw])
    found = msgspec.json.decode(plan.spec.model_dump_json(by_alias=True, exclude_none=True), type=dict[str, msgspec.Raw])
    fields = ", ".join(sorted(field for field in was.keys() | found.keys() if was.get(field) != found.get(field)))
    return AuditEntry(now, "PlanChanged", name, message=f"Of plan {name} this was changed: {fields or 'nothing that counts'}.")
