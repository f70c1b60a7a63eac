"""Ends pods as a node that fails would: without a word."""

from typing import Final

from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import POD
from tests.e2e.place import SYSTEM, Place, image_name
from tests.support.waiting import eventually

KILL_SECONDS: Final = 180.0
ATTEMPTS: Final = 3
KILL: Final = """
import glob, os, sys
killed = 0
for file in glob.glob("/proc/[0-9]*/cgroup"):
    try:
        if sys.argv[1] in open(file).read():
            os.kill(int(file.split("/")[2]), 9)
            killed += 1
    except (FileNotFoundError, ProcessLookupError):
        pass
sys.exit(0 if killed else "No process is of this container.")
"""


async def kill(place: Place, pod: str) -> None:
    """End a pod's processes with SIGKILL. A pod that is deleted by force is still asked first: only its node can kill it.

    A container that was replaced meanwhile, since it ended by itself, is looked for again.
    """
    for _ in range(ATTEMPTS):
        victim = await place.client.get(POD, SYSTEM, pod)
        container_id = victim["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
        killer = killer_pod(victim["spec"]["nodeName"], container_id)
        name = (await place.client.create(POD, "kube-system", killer))["metadata"]["name"]

        async def ended(name: str = name) -> str:
            phase: str = (await place.client.get(POD, "kube-system", name))["status"]["phase"]
            return phase if phase in ("Succeeded", "Failed") else ""

        phase = await eventually(ended, "the pod that kills", KILL_SECONDS, 0.1)
        await place.client.delete(POD, "kube-system", name)
        if phase == "Succeeded":
            return
    raise AssertionError(f"Nothing of {pod} was found that could be killed.")


def killer_pod(node: str, container_id: str) -> KubeObject:
    """Return a pod that sees its node's processes and kills those of a container."""
    container = {
        "name": "killer",
        "image": image_name(),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", KILL, container_id],
        "securityContext": {"privileged": True, "runAsUser": 0},
    }
    spec = {"nodeName": node, "hostPID": True, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "killer-"}, "spec": spec}
