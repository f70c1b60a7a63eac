"""What is remembered of an integration between two visits."""

from datetime import timedelta

from mistral_voice.controller.memory import Memory
from tests.unit.controller.given import NOW

HOUR = timedelta(hours=1)
NEXT = NOW + timedelta(minutes=5)


def test_next_check_stands_from_visit_to_visit() -> None:
    memory = Memory("u1", next_check_at=NEXT)
    for moment in (NOW, NOW, NOW + timedelta(minutes=4)):
        memory.begin_visit(moment)
    assert memory.next_check_at == NEXT


def test_clock_that_is_set_back_makes_no_check_wait_for_the_lost_time_again() -> None:
    memory = Memory("u1", next_check_at=NEXT)
    memory.begin_visit(NOW)
    memory.begin_visit(NEXT - HOUR)
    assert memory.next_check_at is None
