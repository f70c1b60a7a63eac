"""A port in a cluster, reached at a port of this machine's loopback."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from tests.cluster import Cluster, ClusterError


@contextmanager
def port_forward(cluster: Cluster, namespace: str, target: str, port: int) -> Iterator[int]:
    """Forward a port of `target`, such as `service/voice` or `pod/voice-0`, while the body runs; yields the local one.

    Raises:
        ClusterError: it can't be forwarded; the text ends with what kubectl said.
    """
    argv = [str(cluster.kubectl_path), "--namespace", namespace, "port-forward", target, f":{port}"]
    process = subprocess.Popen(argv, env=cluster.program_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"127\.0\.0\.1:(\d+) ->", line)
        if match is None:
            raise ClusterError(f"Could not forward a port to {target}: {line.strip() or 'kubectl said nothing.'}")
        yield int(match[1])
    finally:
        process.terminate()
        process.wait()


@asynccontextmanager
async def forwarded(cluster: Cluster, namespace: str, target: str, port: int) -> AsyncIterator[int]:
    """Forward a port as `port_forward` does, and let the event loop go on while kubectl begins and ends: a session's pings want answers."""
    forwarding = port_forward(cluster, namespace, target, port)
    local = await asyncio.to_thread(forwarding.__enter__)
    try:
        yield local
    finally:
        await asyncio.to_thread(forwarding.__exit__, None, None, None)
