"""What calls for a visit."""

from mistral_voice.controller.calls import Calls
from mistral_voice.controller.store import IntegrationStore
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.kube.workqueue import WorkQueue

KEY = ObjectKey("team", "support")


def test_only_a_leader_is_called() -> None:
    calls = Calls(WorkQueue[ObjectKey](workers=1), IntegrationStore())
    calls.for_integration(KEY)
    assert len(calls.queue) == 0
    calls.leading.set()
    calls.for_integration(KEY)
    calls.for_integration(KEY, low=True)
    assert len(calls.queue) == 1
