"""The ledger and brokers that keep their word: how far past a limit of money or time their sessions can come.

A broker renews in time, stops its session when that is refused, goes on for the grace period where the ledger is out of reach, and tells
at the end what was used, perhaps much later. Sessions use far more than their first lease sets aside.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mistral_voice.contract.lease import LeaseGrant, LeaseReport
from mistral_voice.controlplane.store import schema
from tests.support.ledger import World, a_report, a_request, ledger_at

NAMESPACES = ("shop", "bank")
BROKERS = ("broker-1", "broker-2")
SESSIONS = ("shop-1", "shop-2", "shop-3", "bank-1")
QUANTUM, GRACE, LAST_WORD = 30, 60, 2
HIGHEST_TOKENS = 3_000
"""A second, at two micro-units each: nine times what a first lease sets aside."""
LIMIT_SECONDS, LIMIT_MICRO = 500, 600_000
LONGEST_UNTOLD = QUANTUM + GRACE + LAST_WORD
"""So many seconds a session can go on after the last report that was answered by a grant."""
_BROKER = st.sampled_from(BROKERS)
_AFTER = st.integers(0, 40)
_TOKENS = st.sampled_from([0, HIGHEST_TOKENS // 10, HIGHEST_TOKENS])


@dataclass
class Running:
    """A session under one epoch, as its broker knows it."""

    session: str
    epoch: int
    broker: str
    tokens_a_second: int
    asked: float
    until: float
    refused_until: float | None = None
    seconds: int = 0
    tokens: int = 0
    runs: bool = True
    is_lost: bool = False
    """Its broker died: nobody tells the rest of it."""

    @property
    def namespace(self) -> str:
        return self.session[:4]

    @property
    def end(self) -> float:
        return self.refused_until if self.refused_until is not None else self.until + GRACE


class OverdraftMachine(RuleBasedStateMachine):
    """`url` makes a fresh database's URL."""

    @staticmethod
    def url() -> str:
        """Return the URL of a fresh database."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.world: World
        self.untold: dict[tuple[str, int], Running] = {}
        """Epochs that run, or whose last use was not told."""
        self.epochs: dict[str, int] = {}
        self.out_of_reach: set[str] = set()
        self.told: dict[tuple[str, int], LeaseReport] = {}
        self.sent: list[LeaseReport] = []
        self.at_last_grant = dict.fromkeys(NAMESPACES, 0)
        """How many epochs of a namespace ran or were untold when it was last granted anything: then it was within its limits."""

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(brokers=st.tuples(_BROKER, _BROKER, _BROKER), tokens=st.tuples(_TOKENS, _TOKENS, _TOKENS))
    def open(self, brokers: tuple[str, ...], tokens: tuple[int, ...]) -> None:
        limits = {"sessionSecondsPerPeriod": LIMIT_SECONDS, "spendPerPeriod": str(LIMIT_MICRO / 1_000_000)}
        opening = ledger_at(self.url(), limits=limits, quantumSeconds=QUANTUM, offlineGraceSeconds=GRACE)
        self.world = self.do(self.stack.enter_async_context(opening))
        for name, broker, rate in zip(SESSIONS, brokers, tokens, strict=False):
            self._begin(name, broker, rate)

    @rule(names=st.lists(st.sampled_from(SESSIONS), min_size=1, max_size=4, unique=True), broker=_BROKER, tokens=_TOKENS, after=_AFTER)
    def begin_or_move(self, names: list[str], broker: str, tokens: int, after: int) -> None:
        self._pass(after)
        for name in names:
            self._begin(name, broker, tokens)

    def _begin(self, name: str, broker: str, tokens: int) -> None:
        if broker in self.out_of_reach:
            return
        epoch = self.epochs.get(name, 0) + 1
        answer = self.do(self.world.ledger.admit(a_request(name, epoch, namespace=name[:4], broker=broker)))
        if not isinstance(answer, LeaseGrant):
            return
        former = self.untold.get((name, epoch - 1))
        if former is not None:
            former.runs = False
        self.epochs[name] = epoch
        now = self.world.now
        self.untold[name, epoch] = Running(name, epoch, broker, tokens, now, now + answer.lease_seconds)
        self.told[name, epoch] = a_report(name, epoch, 0)
        self._granted(name[:4])

    def _pass(self, seconds: int) -> None:
        for _ in range(seconds):
            self.world.now += 1
            for one in list(self.untold.values()):
                self._a_second_of(one)
        self.do(self.world.ledger.sweep())

    def _a_second_of(self, one: Running) -> None:
        if not one.runs or one.is_lost:
            return
        if self.world.now > one.end:
            one.runs = False
            return
        one.seconds += 1
        one.tokens += one.tokens_a_second
        if one.refused_until is None and self.world.now >= one.asked + QUANTUM * 2 // 3 and one.broker not in self.out_of_reach:
            self._renew(one, is_answered=True)

    def _renew(self, one: Running, *, is_answered: bool) -> None:
        answer = self.do(self.world.ledger.renew(self._report(one)))
        if isinstance(answer, LeaseGrant):
            self._granted(one.namespace)
            if is_answered:
                one.asked, one.until = self.world.now, self.world.now + answer.lease_seconds
        elif is_answered:
            one.refused_until = max(self.world.now + LAST_WORD, one.until)

    def _report(self, one: Running) -> LeaseReport:
        report = a_report(one.session, one.epoch, len(self.sent) + 1, seconds=one.seconds, tokens=one.tokens)
        self.sent.append(report)
        self.told[one.session, one.epoch] = report
        return report

    def _granted(self, namespace: str) -> None:
        """Whoever is granted a lease finds room for all that is spent and all that is held, its own lease included."""
        used_ms, spent = self.do(self.world.used(namespace))
        holds = [row for row in self.do(self.world.rows(schema.holds)) if row["namespace"] == namespace]
        assert used_ms + sum(row["session_ms"] for row in holds) <= LIMIT_SECONDS * 1000
        assert spent + sum(row["micro_units"] for row in holds) <= LIMIT_MICRO
        self.at_last_grant[namespace] = sum(one.namespace == namespace for one in self.untold.values())

    @rule(data=st.data(), after=_AFTER)
    def an_answer_is_lost(self, data: st.DataObject, after: int) -> None:
        self._pass(after)
        running = [one for one in self.untold.values() if one.runs and not one.is_lost and one.broker not in self.out_of_reach]
        if running:
            self._renew(data.draw(st.sampled_from(running)), is_answered=False)

    @rule(data=st.data(), is_told=st.booleans(), after=_AFTER)
    def a_session_ends(self, data: st.DataObject, is_told: bool, after: int) -> None:
        self._pass(after)
        if self.untold:
            key = data.draw(st.sampled_from(sorted(self.untold)))
            self.untold[key].runs = False
            if is_told:
                self._tell_the_last(key)

    @rule(after=_AFTER)
    def all_that_can_be_told_is_told(self, after: int) -> None:
        self._pass(after)
        for key in sorted(self.untold):
            self._tell_the_last(key)

    def _tell_the_last(self, key: tuple[str, int]) -> None:
        one = self.untold[key]
        if not one.runs and not one.is_lost and one.broker not in self.out_of_reach:
            self.do(self.world.ledger.release(self._report(self.untold.pop(key))))

    @rule(data=st.data(), after=_AFTER)
    def an_old_report_comes_again(self, data: st.DataObject, after: int) -> None:
        self._pass(after)
        if self.sent:
            report = data.draw(st.sampled_from(self.sent))
            granted = self.do(self.world.ledger.renew(report))
            if isinstance(granted, LeaseGrant):
                self._granted(report.session[:4])

    @rule(broker=_BROKER, after=_AFTER)
    def a_broker_loses_the_ledger_or_finds_it_again(self, broker: str, after: int) -> None:
        self._pass(after)
        self.out_of_reach ^= {broker}

    @rule(broker=_BROKER, after=_AFTER)
    def a_broker_dies(self, broker: str, after: int) -> None:
        self._pass(after)
        for one in self.untold.values():
            if one.broker == broker:
                one.runs, one.is_lost = False, True

    @invariant()
    def every_unit_that_was_told_is_charged_once(self) -> None:
        if not hasattr(self, "world"):
            return
        charged = self.do(self.world.charged())
        assert charged == self.do(self.world.balanced())
        rows = self.do(self.world.rows(schema.usage))
        told_ms = sum(report.usage.session_ms for report in self.told.values())
        told_tokens = sum(amount.amount for report in self.told.values() for amount in report.usage.amounts)
        assert charged[0] == told_ms + sum(row["estimated_ms"] for row in rows)
        assert charged[1] == 2 * told_tokens + sum(row["estimated_micro_units"] for row in rows)

    @invariant()
    def the_overdraft_is_within_its_bound(self) -> None:
        if not hasattr(self, "world"):
            return
        for namespace, sessions in self.at_last_grant.items():
            used_ms, spent = self.do(self.world.used(namespace))
            assert used_ms <= (LIMIT_SECONDS + sessions * LONGEST_UNTOLD) * 1000
            assert spent <= LIMIT_MICRO + sessions * LONGEST_UNTOLD * HIGHEST_TOKENS * 2

    @invariant()
    def nobody_goes_on_longer_than_a_quantum_and_the_grace(self) -> None:
        for one in self.untold.values():
            told = self.told[one.session, one.epoch].usage.session_ms // 1000
            assert one.seconds - told <= LONGEST_UNTOLD

    def teardown(self) -> None:
        if hasattr(self, "world"):
            for one in self.untold.values():
                if not one.is_lost:
                    self.do(self.world.ledger.release(self._report(one)))
            self.world.now += 1000
            while self.do(self.world.ledger.sweep()):
                pass
            assert self.do(self.world.held()) == 0
            self.every_unit_that_was_told_is_charged_once()
        self.do(self.stack.aclose())
        self.loop.close()
