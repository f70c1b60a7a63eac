"""Who gets a turn when another is through."""

from dataclasses import replace

from prometheus_client import CollectorRegistry

from mistral_voice.controller.build import build
from mistral_voice.controller.check import check, valid
from mistral_voice.controller.gather import Visit
from mistral_voice.controller.input import DeploymentCondition, DeploymentState, Input
from mistral_voice.controller.memory import Memory
from mistral_voice.controller.metrics import OperatorMetrics
from mistral_voice.controller.rollouts import Rollouts
from mistral_voice.kube.objects import ObjectKey
from tests.unit.controller.test_pacing import NEW_IMAGE, settled

A, B, C, D, E = (ObjectKey("team", name) for name in "abcde")


class Turns:
    """Roll-outs whose calls are remembered."""

    def __init__(self, pace: int) -> None:
        self.called: list[ObjectKey] = []
        self._rollouts = Rollouts(pace, self.called.append, OperatorMetrics(CollectorRegistry()))

    def visit(self, key: ObjectKey, state: Input) -> bool:
        """Return whether the integration may go."""
        visit = Visit(key, {}, "1", Memory(state.uid), state, {}, None, None)
        return self._rollouts.considered(visit, build(state, valid=valid(check(state))))[0].known.rollout_allowed

    def resume(self, *keys: ObjectKey) -> None:
        self._rollouts.resume(keys)

    def forget(self, key: ObjectKey) -> None:
        self._rollouts.forget(key)

    def give_back(self, key: ObjectKey) -> None:
        self._rollouts.give_back(key)


def standing(state: Input) -> DeploymentState:
    assert state.deployment is not None
    return state.deployment


OUTDATED = replace(settled(), operator=NEW_IMAGE)
THROUGH = settled()
GIVEN_UP = replace(
    THROUGH,
    deployment=replace(
        standing(THROUGH),
        ready_replicas=0,
        conditions=(DeploymentCondition("Progressing", "False", "ProgressDeadlineExceeded", "It has timed out progressing."),),
    ),
)


def test_no_more_go_at_once_than_the_pace_and_each_end_calls_the_next() -> None:
    turns = Turns(pace=2)
    assert [turns.visit(key, OUTDATED) for key in (A, B, C, D)] == [True, True, False, False]
    turns.visit(A, THROUGH)
    assert turns.called == [C]


def test_two_that_end_before_the_first_called_one_comes_call_two() -> None:
    turns = Turns(pace=2)
    for key in (A, B, C, D):
        turns.visit(key, OUTDATED)
    turns.visit(A, THROUGH)
    turns.visit(B, THROUGH)
    assert set(turns.called) == {C, D}


def test_a_turn_that_is_needed_no_longer_passes_to_the_next() -> None:
    turns = Turns(pace=1)
    for key in (A, B, C, D):
        turns.visit(key, OUTDATED)
    turns.visit(A, THROUGH)
    turns.visit(B, replace(OUTDATED, generation=2))
    turns.forget(C)
    assert turns.called == [B, C, D]


def test_a_roll_out_that_kubernetes_gave_up_gives_its_turn_back() -> None:
    turns = Turns(pace=1)
    for key in (A, B):
        turns.visit(key, OUTDATED)
    turns.visit(A, GIVEN_UP)
    assert turns.called == [B]
    assert turns.visit(B, OUTDATED)


def test_a_roll_out_that_could_not_begin_lets_the_others_go_and_takes_its_place_again() -> None:
    turns = Turns(pace=1)
    for key in (A, B):
        turns.visit(key, OUTDATED)
    turns.give_back(A)
    assert turns.called == [B]
    assert turns.visit(B, OUTDATED)
    assert not turns.visit(A, OUTDATED)
    turns.visit(B, THROUGH)
    assert turns.called == [B, A]


def test_roll_outs_that_a_former_leader_left_under_way_count() -> None:
    turns = Turns(pace=2)
    turns.resume(A, B)
    assert not turns.visit(C, OUTDATED)
    turns.visit(A, THROUGH)
    assert turns.called == [C]
