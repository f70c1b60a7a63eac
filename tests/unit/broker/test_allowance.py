"""One tenant's flood is no other's trouble."""

from mistral_voice.broker.allowance import Rate, Room


def test_a_burst_is_allowed_and_then_so_many_a_second_each_on_its_own() -> None:
    now = [0.0]
    rate = Rate(lambda: now[0], a_second=2, at_once=3)
    assert [rate.allows("a") for _ in range(5)] == [True, True, True, False, False]
    assert rate.allows("b")
    now[0] = 1.0
    assert [rate.allows("a") for _ in range(3)] == [True, True, False]
    now[0] = 1000.0
    assert [rate.allows("a") for _ in range(4)] == [True, True, True, False]


def test_names_without_end_take_no_memory_without_end() -> None:
    rate = Rate(lambda: 0.0, kept=10)
    assert all(rate.allows(str(number)) for number in range(1000))
    assert len(rate._buckets) == 10


def test_bodies_share_a_bounded_room_and_give_it_back() -> None:
    room = Room(100)
    with room.taken(60) as first:
        assert first
        with room.taken(60) as second:
            assert not second
        with room.taken(40) as third:
            assert third
    with room.taken(100) as fourth:
        assert fourth
