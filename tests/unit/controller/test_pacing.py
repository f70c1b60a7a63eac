"""Which roll-outs wait for their turn."""

from dataclasses import replace

from mistral_voice.controller.build import build
from mistral_voice.controller.build.deployment import TEMPLATE_HASH_ANNOTATION
from mistral_voice.controller.check import check, valid
from mistral_voice.controller.input import Input
from mistral_voice.controller.pacing import needs_turn
from mistral_voice.controller.previous import parse_status
from mistral_voice.controller.status import derive
from mistral_voice.kube.resources import DEPLOYMENT
from tests.unit.controller.given import RUNNING, known, operator_file


def settled(**changes: object) -> Input:
    """Return an integration whose Deployment stands as it was last built."""
    state = known(**changes)
    body = next(child.body for child in build(state, valid=valid(check(state))).objects if child.resource == DEPLOYMENT)
    standing = replace(RUNNING, template_hash=body["metadata"]["annotations"][TEMPLATE_HASH_ANNOTATION])
    state = replace(state, deployment=standing)
    return replace(state, previous=parse_status(derive(state, check(state))))


def waits(state: Input) -> bool:
    """Tell whether the roll-out that an integration needs waits for its turn."""
    return needs_turn(state, build(state, valid=valid(check(state))))


NEW_IMAGE = operator_file(image="registry.example/mistral-voice:2.0.0")


def test_upgrade_of_the_operator_waits() -> None:
    assert waits(replace(settled(), operator=NEW_IMAGE))


def test_nothing_waits_where_nothing_changes() -> None:
    assert not waits(settled())


def test_change_of_the_spec_goes_at_once_with_whatever_else_is_new() -> None:
    changed = known(spec={"config": {"model": "other"}}).spec
    assert not waits(replace(settled(), spec=changed, generation=2))
    assert not waits(replace(settled(), generation=2, operator=NEW_IMAGE))


def test_first_deployment_and_a_suspended_one_go_at_once() -> None:
    assert not waits(replace(settled(), deployment=None, operator=NEW_IMAGE))
    assert not waits(replace(settled(spec={"suspend": True}), operator=NEW_IMAGE))


def test_integration_that_is_held_needs_no_turn() -> None:
    without_endpoint = NEW_IMAGE.model_copy(update={"endpoints": ()})
    assert not waits(replace(settled(), operator=without_endpoint))
