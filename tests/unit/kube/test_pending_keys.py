from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mistral_voice.kube.pending_keys import PendingKeys

KEYS = st.integers(0, 5)


class PendingKeysMachine(RuleBasedStateMachine):
    """The queue against a plain description of its rules."""

    def __init__(self) -> None:
        super().__init__()
        self.pending: PendingKeys[int] = PendingKeys()
        self.now = 0.0
        self.ready: set[int] = set()
        self.under_way: set[int] = set()
        self.again: set[int] = set()
        self.due: dict[int, float] = {}

    def _became_ready(self, key: int) -> bool:
        target = self.again if key in self.under_way else self.ready
        news = key not in target
        target.add(key)
        return news

    @rule(key=KEYS, low=st.booleans())
    def add(self, key: int, low: bool) -> None:
        assert self.pending.add(key, self.now, low=low) == self._became_ready(key)

    @rule(key=KEYS, seconds=st.floats(0, 100))
    def add_after(self, key: int, seconds: float) -> None:
        self.pending.add_after(key, self.now + seconds)
        self.due[key] = min(self.due.get(key, self.now + seconds), self.now + seconds)

    @rule(seconds=st.floats(0, 60))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.pending.promote(self.now)
        for key in [key for key, due in self.due.items() if due <= self.now]:
            del self.due[key]
            self._became_ready(key)

    @rule()
    def take(self) -> None:
        taken = self.pending.take(self.now)
        if not self.ready:
            assert taken is None
            return
        assert taken is not None
        key, waited_seconds = taken
        assert key in self.ready
        assert key not in self.under_way
        assert waited_seconds >= 0
        self.ready.discard(key)
        self.due.pop(key, None)
        self.under_way.add(key)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.under_way)))
        self.pending.done(key)
        self.under_way.discard(key)
        if key in self.again:
            self.again.discard(key)
            self.ready.add(key)

    @invariant()
    def agrees(self) -> None:
        assert len(self.pending) == len(self.ready)
        assert set(self.pending.started) == self.under_way
        assert self.pending.next_due() == min(self.due.values(), default=None)


PendingKeysMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestPendingKeys = PendingKeysMachine.TestCase


def _taken(pending: PendingKeys[str], count: int) -> list[str]:
    taken = []
    for _ in range(count):
        answer = pending.take(0.0)
        assert answer is not None
        taken.append(answer[0])
    return taken


def test_fresh_keys_pass_low_ones_but_do_not_starve_them() -> None:
    pending: PendingKeys[str] = PendingKeys()
    for number in range(3):
        pending.add(f"low{number}", 0.0, low=True)
    for number in range(20):
        pending.add(f"fresh{number}", 0.0)
    order = _taken(pending, 23)
    assert order[:8] == [f"fresh{number}" for number in range(7)] + ["low0"]
    assert order.index("low1") == 15


def test_a_low_key_that_something_happens_to_moves_ahead() -> None:
    pending: PendingKeys[str] = PendingKeys()
    for key in "abc":
        pending.add(key, 0.0, low=True)
    assert not pending.add("c", 0.0)
    assert _taken(pending, 3) == ["c", "a", "b"]


def test_bringing_a_delay_forward_many_times_keeps_memory_small() -> None:
    pending: PendingKeys[str] = PendingKeys()
    for number in range(100_000):
        pending.add_after("a", 1e6 - number)
    assert len(pending._heap) < 100
    assert pending.next_due() == 1e6 - 99_999
