"""What a user of Kubernetes may do, as the API server's own authorizers decide it (SubjectAccessReview)."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import KubeError
from mistral_voice.kube.identity import AT_ONCE, KEPT, ReviewUnavailableError, User
from mistral_voice.kube.resources import SUBJECT_ACCESS_REVIEW, Resource

ALLOWED_SECONDS: Final = 10.0
"""A right that was given is not asked about again for so long."""
DENIED_SECONDS: Final = 5.0


class Right(Struct, frozen=True):
    """To do something with a resource: with the named one, or with all if there is no name."""

    verb: str
    resource: Resource
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        kind = f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {kind}{' ' + self.name if self.name else ''}{where}"


class Authorizer:
    """Asks what users may do. `now` is a monotonic clock in seconds."""

    def __init__(self, client: Client, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now
        self._verdicts: OrderedDict[tuple[User, Right], tuple[float, bool]] = OrderedDict()
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def allows(self, user: User, right: Right) -> bool:
        """Tell whether a user has a right. Raises ReviewUnavailableError if nobody can say."""
        asked = (user, right)
        async with self._slots:
            until, allowed = self._verdicts.get(asked, (0.0, False))
            if until <= self._now():
                allowed = await self._review(user, right)
                self._verdicts[asked] = (self._now() + (ALLOWED_SECONDS if allowed else DENIED_SECONDS), allowed)
                self._verdicts.move_to_end(asked)
                while len(self._verdicts) > KEPT:
                    self._verdicts.popitem(last=False)
        return allowed

    async def _review(self, user: User, right: Right) -> bool:
        attributes = {
            "verb": right.verb,
            "group": right.resource.group,
            "version": right.resource.version,
            "resource": right.resource.plural,
            "subresource": right.subresource,
            "namespace": right.namespace,
            "name": right.name,
        }
        subject = {"user": user.name, "uid": user.uid, "groups": list(user.groups), "extra": {key: list(more) for key, more in user.extra}}
        body = {
            "apiVersion": SUBJECT_ACCESS_REVIEW.api_version,
            "kind": SUBJECT_ACCESS_REVIEW.kind,
            "spec": {**subject, "resourceAttributes": attributes},
        }
        try:
            answer = await self._client.create(SUBJECT_ACCESS_REVIEW, None, body, timeout_seconds=5.0)
        except KubeError as error:
            raise ReviewUnavailableError("The API server can't be asked about rights at present.") from error
        status = answer.get("status") or {}
        return status.get("allowed") is True and not status.get("denied")
