"""The ledger against a model of it: whatever brokers ask, lose, repeat and reorder, each unit counts once and no limit is passed."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mistral_voice.contract.lease import LeaseGrant
from mistral_voice.controlplane.store import schema
from tests.support.ledger import World, a_report, a_request, ledger_at

NAMESPACES = ("shop", "bank")
SESSIONS = tuple(f"{namespace}-{number}" for namespace in NAMESPACES for number in range(3))
LIMIT_SECONDS, CONCURRENT, QUANTUM, GRACE = 400, 2, 30, 60


class LedgerMachine(RuleBasedStateMachine):
    """Sessions of two namespaces whose broker may die, whose reports may come late and twice. `url` makes a fresh database's URL."""

    @staticmethod
    def url() -> str:
        """Return the URL of a fresh database."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.world: World
        self.true_ms: dict[tuple[str, int], int] = {}
        """What each epoch has really used, as told at least once."""
        self.sent: list[Any] = []
        self.epochs: dict[str, int] = {}
        self.beyond_ms = dict.fromkeys(NAMESPACES, 0)
        """What sessions used beyond the time of their leases: the only way past a limit."""

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        limits = {"concurrentSessions": CONCURRENT, "sessionSecondsPerPeriod": LIMIT_SECONDS}
        opening = ledger_at(self.url(), limits=limits, quantumSeconds=QUANTUM, offlineGraceSeconds=GRACE)
        self.world = self.do(self.stack.enter_async_context(opening))

    @rule(session=st.sampled_from(SESSIONS), more=st.integers(0, 2))
    def admit(self, session: str, more: int) -> None:
        epoch = max(1, self.epochs.get(session, 0) + more)
        answer = self.do(self.world.ledger.admit(a_request(session, epoch, namespace=session[:4])))
        if isinstance(answer, LeaseGrant):
            self.epochs[session] = epoch
            self.true_ms.setdefault((session, epoch), 0)

    @rule(session=st.sampled_from(SESSIONS), back=st.integers(0, 1), seconds=st.integers(0, 40), last=st.booleans())
    def report(self, session: str, back: int, seconds: int, last: bool) -> None:
        key = session, self.epochs.get(session, 0) - back
        if key not in self.true_ms:
            return
        report = a_report(*key, seq=len(self.sent), seconds=self.true_ms[key] / 1000 + seconds)
        self.true_ms[key] = report.usage.session_ms
        self.beyond_ms[session[:4]] += seconds * 1000
        self.sent.append((report, last))
        self._tell(report, last)

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        if self.sent:
            self._tell(*data.draw(st.sampled_from(self.sent)))

    def _tell(self, report: Any, last: bool) -> None:
        ledger = self.world.ledger
        self.do(ledger.release(report) if last else ledger.renew(report))

    @rule(seconds=st.integers(1, 45))
    def time_goes_by(self, seconds: int) -> None:
        self.world.now += seconds

    @rule()
    def sweep(self) -> None:
        self.do(self.world.ledger.sweep())

    @invariant()
    def every_unit_counts_once(self) -> None:
        if not hasattr(self, "world"):
            return
        charged = self.do(self.world.charged())
        assert charged == self.do(self.world.balanced())
        estimates = self.do(self.world.rows(schema.usage))
        assert charged[0] == sum(self.true_ms.values()) + sum(row["estimated_ms"] for row in estimates)
        assert all(0 <= row["estimated_ms"] <= QUANTUM * 1000 for row in estimates)
        assert {(row["session"], row["epoch"]): row["session_ms"] for row in estimates} == self.true_ms

    @invariant()
    def no_namespace_has_more_sessions_than_allowed(self) -> None:
        if not hasattr(self, "world"):
            return
        now = self.world.now * 1000
        live = [
            row["namespace"] for row in self.do(self.world.rows(schema.holds)) if row["superseded_at"] is None and row["expires_at"] > now
        ]
        assert all(live.count(namespace) <= CONCURRENT for namespace in NAMESPACES)

    @invariant()
    def what_is_held_and_charged_stays_within_the_limit(self) -> None:
        """Only what brokers tell of beyond what was held can pass it: here a session may claim any time."""
        if not hasattr(self, "world"):
            return
        holds = self.do(self.world.rows(schema.holds))
        for namespace in NAMESPACES:
            held = sum(row["session_ms"] for row in holds if row["namespace"] == namespace)
            used = self.do(self.world.used(namespace))[0]
            assert used + held <= LIMIT_SECONDS * 1000 + self.beyond_ms[namespace]

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.now += 1000
            while self.do(self.world.ledger.sweep()):
                pass
            assert self.do(self.world.held()) == 0
        self.do(self.stack.aclose())
        self.loop.close()
