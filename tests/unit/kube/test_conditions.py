from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mistral_voice.kube.conditions import Condition, ConditionStatus, find_condition, set_condition

START = datetime(2026, 1, 1, tzinfo=UTC)
CONDITIONS = st.builds(
    Condition,
    type=st.sampled_from(["Ready", "Healthy", "Stalled"]),
    status=st.sampled_from(ConditionStatus),
    reason=st.sampled_from(["AsExpected", "Broken"]),
    message=st.text(max_size=5),
    observed_generation=st.integers(0, 3),
)


@settings(deadline=None)
@given(st.lists(CONDITIONS, min_size=1, max_size=30))
def test_a_conditions_time_is_that_of_its_last_change_of_status(history: list[Condition]) -> None:
    conditions: tuple[Condition, ...] = ()
    for step, condition in enumerate(history):
        conditions = set_condition(conditions, condition, START + timedelta(seconds=step))
        assert [each.type for each in conditions] == sorted({each.type for each in history[: step + 1]})
    for condition in conditions:
        steps = [(step, each) for step, each in enumerate(history) if each.type == condition.type]
        changed = [later[0] for earlier, later in pairwise(steps) if earlier[1].status != later[1].status]
        assert condition.last_transition_time == START + timedelta(seconds=max(changed, default=steps[0][0]))
        last = steps[-1][1]
        assert (condition.status, condition.reason, condition.message) == (last.status, last.reason, last.message)
        assert condition.observed_generation == last.observed_generation


@settings(deadline=None)
@given(CONDITIONS)
def test_a_condition_survives_its_way_through_a_status(condition: Condition) -> None:
    (condition,) = set_condition((), condition, START)
    assert Condition.from_json(condition.to_json()) == condition
    assert find_condition([condition], condition.type) == condition


@pytest.mark.parametrize(
    "body", [{}, {"type": "Ready", "status": "Perhaps"}, {"status": "True"}, {"type": "Ready", "status": "True", "lastTransitionTime": "x"}]
)
def test_what_is_no_condition_is_refused(body: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        Condition.from_json(body)
