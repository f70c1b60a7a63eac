"""What the API server says to children becomes something that status can tell."""

from pathlib import Path

import pytest
from aiohttp import web

from mistral_voice.controller.build import Desired
from mistral_voice.controller.build.service_account import service_account
from mistral_voice.controller.children import Applied, Children
from mistral_voice.controller.gather import Visit
from mistral_voice.controller.memory import Memory
from mistral_voice.controller.operator import MARKS
from mistral_voice.kube.apply import Action, Applier, Outcome
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import ApiError
from mistral_voice.kube.managed_fields import FieldSets
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.kube.resources import DEPLOYMENT, SERVICE
from tests.unit.controller.given import known
from tests.unit.kube.loopback import access_to, serving


async def applied_where_the_answer_is(status: int, reason: str, message: str, folder: Path) -> Applied:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "code": status, "reason": reason, "message": message}, status=status)

    state = known(deployment=None)
    visit = Visit(ObjectKey(state.namespace, state.name), {}, "1", Memory(state.uid), state, {}, None, None)
    async with serving(answer) as server, Client(await access_to(server, folder)) as client:
        children = Children(client, Applier(client, FieldSets(), MARKS))
        return await children.apply(visit, Desired((service_account(state),)))


WEBHOOK = 'Internal error occurred: failed calling webhook "policy.example.com": failed to call webhook: connection refused'


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [(403, "Forbidden", "exceeded quota: small"), (500, "InternalError", WEBHOOK)],
    ids=["quota", "webhook that is down"],
)
async def test_what_lasts_and_may_pass_is_told(status: int, reason: str, message: str, tmp_path: Path) -> None:
    refused = (await applied_where_the_answer_is(status, reason, message, tmp_path)).refused
    assert refused is not None
    assert (refused.kind, refused.sentence, refused.passing) == ("ServiceAccount", message, True)


@pytest.mark.parametrize("status", [403, 422])
async def test_what_is_refused_before_the_deployment_keeps_its_roll_out_from_beginning(status: int, tmp_path: Path) -> None:
    assert (await applied_where_the_answer_is(status, "Refused", "not here", tmp_path)).kept_from_rollout


@pytest.mark.parametrize("action", [Action.APPLIED, Action.UNCHANGED])
def test_what_is_refused_after_the_deployment_does_not(action: Action) -> None:
    done = Outcome(action, DEPLOYMENT, ObjectKey("team", "support-voice"))
    taken = Outcome(Action.NAME_TAKEN, SERVICE, ObjectKey("team", "support-voice"), "It is somebody's.")
    assert not Applied((done, taken)).kept_from_rollout
    assert Applied((taken,)).kept_from_rollout
    assert not Applied().kept_from_rollout, "nothing was to be applied"


async def test_trouble_of_the_moment_is_tried_again_at_once(tmp_path: Path) -> None:
    with pytest.raises(ApiError):
        await applied_where_the_answer_is(500, "InternalError", "etcdserver: request timed out", tmp_path)
