"""Who calls: a token, reviewed by the API server: a pod's projected one, or that of any user of Kubernetes."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from mistral_voice.contract.lease import BROKER_AUDIENCE
from mistral_voice.contract.secret import Secret
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import KubeError
from mistral_voice.kube.resources import TOKEN_REVIEW

ACCEPTED_SECONDS: Final = 30.0
"""A token that was accepted is not asked about again for so long."""
REFUSED_SECONDS: Final = 5.0
KEPT: Final = 10_000
AT_ONCE: Final = 16
"""Reviews under way at the same time."""
LONGEST_TOKEN: Final = 8192
_USER: Final = "system:serviceaccount:"
_POD_NAME: Final = "authentication.kubernetes.io/pod-name"
_POD_UID: Final = "authentication.kubernetes.io/pod-uid"


class Caller(Struct, frozen=True):
    """The pod that presented a token, and its ServiceAccount."""

    namespace: str
    service_account: str
    pod: str
    pod_uid: str


class User(Struct, frozen=True):
    """A user of Kubernetes as a TokenReview tells of it: all that RBAC and other authorizers decide by."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def namespace(self) -> str | None:
        """Return the namespace of a ServiceAccount; None for other users."""
        space, _, account = self.name.removeprefix(_USER).partition(":")
        return space if self.name.startswith(_USER) and account else None


Who = TypeVar("Who", bound=Struct)


class NotAuthenticatedError(Exception):
    """The token is not accepted; the text says why and quotes nothing of it."""


class ReviewUnavailableError(Exception):
    """The API server could not be asked."""


class _Verdict(Struct, Generic[Who], frozen=True):
    until: float
    caller: Who | None
    why_not: str


class TokenReviews(Generic[Who]):
    """Reviews tokens. `read` makes of a review's status and the audience whose token it is. `now` is a monotonic clock in seconds."""

    def __init__(self, client: Client, now: Callable[[], float], audience: str, read: Callable[[dict[str, Any], str], Who]) -> None:
        self._client = client
        self._now = now
        self._audience = audience
        self._read = read
        self._verdicts: OrderedDict[bytes, _Verdict[Who]] = OrderedDict()
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def caller(self, token: Secret) -> Who:
        """Return whose token it is. Raises NotAuthenticatedError, or ReviewUnavailableError if nobody can say."""
        text = token.reveal()
        if not text or len(text) > LONGEST_TOKEN or not text.isascii():
            raise NotAuthenticatedError("No usable token was presented.")
        digest = hashlib.sha256(text.encode()).digest()
        async with self._slots:
            verdict = self._verdicts.get(digest)
            if verdict is None or verdict.until <= self._now():
                verdict = await self._review(text)
                self._keep(digest, verdict)
        if verdict.caller is None:
            raise NotAuthenticatedError(verdict.why_not)
        return verdict.caller

    async def _review(self, token: str) -> _Verdict[Who]:
        body = {
            "apiVersion": TOKEN_REVIEW.api_version,
            "kind": TOKEN_REVIEW.kind,
            "spec": {"token": token, "audiences": [self._audience]},
        }
        try:
            answer = await self._client.create(TOKEN_REVIEW, None, body, timeout_seconds=5.0)
        except KubeError as error:
            raise ReviewUnavailableError("The API server can't be asked about tokens at present.") from error
        try:
            caller = self._read(answer.get("status") or {}, self._audience)
        except NotAuthenticatedError as error:
            return _Verdict(self._now() + REFUSED_SECONDS, None, str(error))
        return _Verdict(self._now() + ACCEPTED_SECONDS, caller, "")

    def _keep(self, digest: bytes, verdict: _Verdict[Who]) -> None:
        self._verdicts[digest] = verdict
        self._verdicts.move_to_end(digest)
        while len(self._verdicts) > KEPT:
            self._verdicts.popitem(last=False)


class Identity(TokenReviews[Caller]):
    """Reviews tokens of pods."""

    def __init__(self, client: Client, now: Callable[[], float], audience: str = BROKER_AUDIENCE) -> None:
        super().__init__(client, now, audience, caller_of)


def _accepted(status: dict[str, Any], audience: str) -> dict[str, Any]:
    """Return the user of a review. An empty `audiences` means that the API server did not look at them: such a token is one for itself."""
    if status.get("authenticated") is not True:
        raise NotAuthenticatedError("The token is not accepted: it is unknown, expired, of a pod that is gone, or for another audience.")
    if audience not in (status.get("audiences") or ()):
        raise NotAuthenticatedError(f"The token is not for the audience {audience}.")
    return dict(status.get("user") or {})


def user_of(status: dict[str, Any], audience: str) -> User:
    """Return the user that the status of a TokenReview tells of. Raises NotAuthenticatedError."""
    user = _accepted(status, audience)
    name = str(user.get("username") or "")
    if not name:
        raise NotAuthenticatedError("The token is nobody's.")
    extra = tuple((str(key), tuple(map(str, values or ()))) for key, values in sorted((user.get("extra") or {}).items()))
    return User(name, str(user.get("uid") or ""), tuple(map(str, user.get("groups") or ())), extra)


def caller_of(status: dict[str, Any], audience: str) -> Caller:
    """Return the pod that the status of a TokenReview tells of. Raises NotAuthenticatedError."""
    user = _accepted(status, audience)
    name = str(user.get("username") or "")
    namespace, _, account = name.removeprefix(_USER).partition(":")
    if not name.startswith(_USER) or not namespace or not account or ":" in account:
        raise NotAuthenticatedError("The token is not a ServiceAccount's.")
    extra = user.get("extra") or {}
    pod, pod_uid = ((extra.get(key) or [""])[0] for key in (_POD_NAME, _POD_UID))
    if not pod or not pod_uid:
        raise NotAuthenticatedError("The token is bound to no pod: present the one that is projected into the pod.")
    return Caller(namespace, account, pod, pod_uid)
