"""What use costs: cumulative reports, the difference since the last one, dated prices, and what a lease sets aside in advance."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from mistral_voice.contract.lease import Unit, Usage
from mistral_voice.contract.v1alpha1.plan import ModelKind, PlanSpecification, Price
from mistral_voice.controlplane.ledger.records import Counted, Entry, EntryKind, EpochState, Measure, Tenant, Window
from mistral_voice.controlplane.ledger.window import moment

NOMINAL_PER_SECOND: Final[Mapping[Unit, int]] = {
    Unit.AUDIO_MS: 1000,
    Unit.CHARACTERS: 20,
    Unit.OUTPUT_TOKENS: 20,
    Unit.INPUT_TOKENS: 500,
}
"""What a session is taken to use in a second while nothing is known of it: it listens all the time, speaks at a person's pace, and sends a
context of 3,000 tokens every six seconds. A lease holds more as soon as a session is seen to use more."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a report adds: the count after it, the entries to write, and what had no price."""

    counted: Counted
    entries: tuple[Entry, ...]
    unpriced: tuple[Measure, ...] = ()

    @property
    def micro_units(self) -> int:
        """Return the cost of all that is new."""
        return sum(entry.micro_units for entry in self.entries)


def charge(before: Counted, seq: int, usage: Usage, tenant: Tenant, plan: PlanSpecification, window: Window, now: int) -> Charge:
    """Add a cumulative report: of each figure the greater is taken and the difference charged, so that none counts twice.

    Reports may be lost, repeated, or come late and in any order.
    """
    amounts = dict(before.amounts)
    for entry in usage.amounts:
        amounts[entry.model, entry.unit] = max(amounts.get((entry.model, entry.unit), 0), entry.amount)
    after = replace(
        before, seq=max(before.seq, seq), session_ms=max(before.session_ms, usage.session_ms), amounts=amounts, acknowledged_at=now
    )
    entries, unpriced = [], []
    if after.session_ms > before.session_ms:
        more = after.session_ms - before.session_ms
        entries.append(Entry(now, tenant, window, before.session, before.epoch, EntryKind.USAGE, session_ms=more))
    for (model, unit), amount in amounts.items():
        known = before.amounts.get((model, unit), 0)
        if amount <= known:
            continue
        price, kind = plan.price_book.price_at(model, unit, moment(now)), EntryKind.USAGE
        if price is None:
            price, kind = _highest(plan, unit), EntryKind.UNPRICED
            unpriced.append((model, unit))
        # Of the cumulative figures, so that rounding never adds up.
        cost = price.cost(amount) - price.cost(known) if price is not None else 0
        entries.append(
            Entry(now, tenant, window, before.session, before.epoch, kind, 0, model, unit, amount - known, cost),
        )
    return Charge(after, tuple(entries), tuple(unpriced))


def correction(counted: Counted, tenant: Tenant, now: int) -> tuple[Counted, tuple[Entry, ...]]:
    """Take back an estimate, in the window in which it was charged, since what was really used is now told."""
    if counted.estimated_in is None:
        return counted, ()
    entry = Entry(
        now,
        tenant,
        counted.estimated_in,
        counted.session,
        counted.epoch,
        EntryKind.CORRECTION,
        session_ms=-counted.estimated_ms,
        micro_units=-counted.estimated_micro_units,
    )
    told = replace(counted, state=EpochState.OPEN, estimated_ms=0, estimated_micro_units=0, estimated_in=None)
    return told, (entry,)


def nominal_cost(plan: PlanSpecification, models: tuple[str, ...], now: int) -> int | None:
    """Return what a lease's time is taken to cost at first, in micro-units; None if one of the models has no price."""
    total = 0
    for model in models:
        prices = [plan.price_book.price_at(model, unit, moment(now)) for unit in units_of(plan, model)]
        if not prices or None in prices:
            return None
        total += sum(price.cost(NOMINAL_PER_SECOND[price.unit] * plan.quantum_seconds) for price in prices if price is not None)
    return total


def units_of(plan: PlanSpecification, model: str) -> tuple[Unit, ...]:
    """Return the units that the use of a model is counted in; none if the plan doesn't allow it."""
    models = plan.models
    return tuple(unit for kind in ModelKind if model in models.of_kind(kind) for unit in kind.units)


def projected_cost(plan: PlanSpecification, spent: int, elapsed_ms: int) -> int:
    """Return what the next lease's time costs if it goes on like the last, of which at least half a quantum is taken for granted."""
    quantum_ms = plan.quantum_seconds * 1000
    return -(-spent * quantum_ms // max(elapsed_ms, quantum_ms // 2))


def _highest(plan: PlanSpecification, unit: Unit) -> Price | None:
    prices = [price for price in plan.price_book.prices if price.unit is unit]
    return max(prices, key=lambda price: price.micro_units / price.quantity, default=None)
