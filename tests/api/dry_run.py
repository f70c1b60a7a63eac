"""Asks an API server about many objects without making any."""

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec

from mistral_voice.kube.access import Access, open_session
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import Resource

IN_FLIGHT: Final = 30
BUSY: Final = (429, 503, 504)
"""What an API server answers that has no time: it says nothing of what it was asked."""
ATTEMPTS: Final = 5


async def dry_run(access: Access, kind: Resource, namespace: str | None, bodies: Sequence[KubeObject]) -> list[tuple[int, KubeObject]]:
    """Return status and body of the answer to each, in their order. Fields that no schema knows are dropped."""
    url = f"{access.server}{kind.path(namespace)}?dryRun=All&fieldValidation=Ignore"
    free = asyncio.Semaphore(IN_FLIGHT)

    async def ask(session: aiohttp.ClientSession, body: KubeObject) -> tuple[int, KubeObject]:
        async with free:
            for _ in range(ATTEMPTS):
                async with session.post(url, data=msgspec.json.encode(body), headers={"Content-Type": "application/json"}) as response:
                    status, answer = response.status, await response.read()
                if status not in BUSY:
                    break
        found: KubeObject = msgspec.json.decode(answer)
        return status, found

    async with open_session(access, limit=IN_FLIGHT) as session:
        return list(await asyncio.gather(*(ask(session, body) for body in bodies)))
