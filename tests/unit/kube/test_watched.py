from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mistral_voice.kube.observed import Observed
from mistral_voice.kube.watched import WatchedObjects


def _observed(version: int, uid: str = "u", name: str = "a", owner: str = "o", namespace: str = "n") -> Observed:
    return Observed(namespace=namespace, name=name, uid=uid, resource_version=str(version), controller_uid=owner)


class Told:
    def __init__(self) -> None:
        self.changes: list[tuple[str, str, bool]] = []
        self.objects = WatchedObjects(self)

    def __call__(self, observed: Observed, deleted: bool) -> None:
        self.changes.append((observed.uid, observed.resource_version, deleted))


def test_changes_are_told_once_and_found_by_owner() -> None:
    told = Told()
    told.objects.seen(_observed(1))
    told.objects.seen(_observed(1))
    told.objects.seen(_observed(3))
    told.objects.seen(_observed(2))
    told.objects.seen(_observed(4, uid="v", name="b"))
    assert told.changes == [("u", "1", False), ("u", "3", False), ("v", "4", False)]
    assert {observed.name for observed in told.objects.of_owner("o", "n")} == {"a", "b"}
    told.objects.gone(_observed(5))
    told.objects.gone(_observed(5))
    assert told.changes[-1] == ("u", "3", True)
    assert [observed.name for observed in told.objects.of_owner("o", "n")] == ["b"]


def test_a_note_on_a_record_is_kept_as_long_as_the_record_is_the_newest() -> None:
    told = Told()
    told.objects.seen(_observed(1))
    first = told.objects.get("u")
    assert first is not None
    told.objects.note(first, replace(first, intact_for="h"))
    assert [observed.intact_for for observed in told.objects.of_owner("o", "n")] == ["h"]
    told.objects.seen(_observed(2))
    told.objects.note(first, replace(first, intact_for="h"))
    assert [(observed.resource_version, observed.intact_for) for observed in told.objects.of_owner("o", "n")] == [("2", "")]
    assert told.changes == [("u", "1", False), ("u", "2", False)]


def test_a_copy_of_a_namespace_holds_nothing_of_the_owner_in_the_original() -> None:
    told = Told()
    told.objects.seen(_observed(1))
    told.objects.seen(_observed(2, uid="v", namespace="copy"))
    assert [observed.uid for observed in told.objects.of_owner("o", "n")] == ["u"]
    assert [observed.uid for observed in told.objects.of_owner("o", "copy")] == ["v"]


def test_versions_compare_as_numbers() -> None:
    told = Told()
    told.objects.seen(_observed(99))
    told.objects.seen(_observed(100))
    assert told.changes[-1] == ("u", "100", False)


@settings(deadline=None)
@given(echo_first=st.booleans())
def test_the_echo_of_our_own_write_is_not_told_whichever_comes_first(echo_first: bool) -> None:
    told = Told()
    told.objects.begin_write(_observed(1).key)
    if echo_first:
        told.objects.seen(_observed(1))
    told.objects.end_write(_observed(1).key, _observed(1))
    told.objects.seen(_observed(1))
    assert told.changes == []
    assert len(told.objects.of_owner("o", "n")) == 1


def test_what_others_do_while_we_write_is_told_afterwards() -> None:
    told = Told()
    told.objects.begin_write(_observed(1).key)
    told.objects.seen(_observed(1))
    told.objects.seen(_observed(2))
    told.objects.gone(_observed(3))
    assert told.changes == []
    told.objects.end_write(_observed(1).key, _observed(1))
    assert told.changes == [("u", "2", False), ("u", "2", True)]
    assert len(told.objects) == 0


def test_a_write_that_failed_lets_the_watch_speak() -> None:
    told = Told()
    told.objects.begin_write(_observed(1).key)
    told.objects.seen(_observed(1))
    told.objects.end_write(_observed(1).key, None)
    assert told.changes == [("u", "1", False)]


def test_a_list_brings_to_light_what_was_deleted_unseen_in_its_namespace_only() -> None:
    told = Told()
    for number, namespace in enumerate(["n", "n", "other"]):
        told.objects.seen(_observed(number, uid=f"u{number}", namespace=namespace))
    told.changes.clear()
    with told.objects.listing("n") as listing:
        listing.seen(_observed(0, uid="u0"))
    assert told.changes == [("u1", "1", True)]
    with told.objects.listing(None):
        pass
    assert len(told.objects) == 0


def test_what_we_make_while_a_list_is_read_is_not_taken_for_deleted() -> None:
    told = Told()
    with told.objects.listing(None):
        told.objects.begin_write(_observed(7).key)
        told.objects.end_write(_observed(7).key, _observed(7))
    assert len(told.objects) == 1


def test_a_list_that_broke_off_deletes_nothing() -> None:
    told = Told()
    told.objects.seen(_observed(1))
    try:
        with told.objects.listing(None):
            raise TimeoutError
    except TimeoutError:
        pass
    assert len(told.objects) == 1
