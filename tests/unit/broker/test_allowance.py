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
    room = Room(100, 80)
    with room.taken("a", 60) as first:
        assert first
        with room.taken("b", 60) as second:
            assert not second
        with room.taken("b", 40) as third:
            assert third
    with room.taken("a", 50) as fourth, room.taken("b", 50) as fifth:
        assert fourth
        assert fifth


def test_a_namespace_takes_a_part_of_the_room_at_most() -> None:
    room = Room(100, 40)
    with room.taken("a", 40) as first, room.taken("a", 1) as second, room.taken("b", 40) as third:
        assert (first, second, third) == (True, False, True)
    assert room._held == {}
