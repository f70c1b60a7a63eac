"""What brokers ask: leases and keys, over HTTP."""

import re
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec
from aiohttp import web

from mistral_voice.contract.lease import (
    KEYS_PATH,
    LEASES_PATH,
    RELEASE_PATH,
    RENEW_PATH,
    KeySync,
    LeaseGrant,
    LeaseReport,
    LeaseRequest,
    MessageError,
    Refusal,
    RefusalReason,
    decode,
)
from mistral_voice.contract.secret import Secret
from mistral_voice.controlplane.keys.keyring import KeyRing
from mistral_voice.controlplane.ledger.ledger import Ledger, LedgerUnavailable
from mistral_voice.controlplane.metrics import ControlPlaneMetrics
from mistral_voice.kube.identity import Caller, NotAuthenticatedError, ReviewUnavailableError
from mistral_voice.runtime.health import Readiness

LARGEST_BYTES: Final = 256 * 1024
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", re.ASCII)
_TEXT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*", re.ASCII)


Work = Callable[[bytes], Awaitable[web.Response]]


class Reviewer(Protocol):
    """Says whose token it is; see `mistral_voice.kube.identity.Identity`."""

    async def caller(self, token: Secret) -> Caller:
        """Return whose token it is. Raises NotAuthenticatedError or ReviewUnavailableError."""
        ...


class BrokerPort:
    """The paths that brokers ask. Every request bears the token of one of the named ServiceAccounts (`namespace/name`)."""

    def __init__(
        self,
        reviewer: Reviewer,
        brokers: frozenset[str],
        ledger: Ledger,
        keys: KeyRing,
        metrics: ControlPlaneMetrics,
        not_ready_because: Readiness,
    ) -> None:
        self._reviewer = reviewer
        self._brokers = brokers
        self._ledger = ledger
        self._keys = keys
        self._metrics = metrics
        self._not_ready_because = not_ready_because

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=LARGEST_BYTES)
        for path, work in ((LEASES_PATH, self._admit), (RENEW_PATH, self._renew), (RELEASE_PATH, self._release), (KEYS_PATH, self._sync)):
            app.router.add_post(path, self._guarded(work))
        return app

    def _guarded(self, work: Work) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            refused = await self._not_a_broker(request)
            if refused is not None:
                return refused
            reason = self._not_ready_because()
            if reason is not None:
                return _json(Refusal(RefusalReason.LEDGER_UNAVAILABLE, reason, 2), 503)
            try:
                return await work(await request.read())
            except MessageError as error:
                return web.Response(status=400, text=f"{error}\n")
            except LedgerUnavailable:
                # Not an answer: whoever asks goes on as if we could not be reached.
                self._metrics.unavailable.inc()
                sentence = "The ledger's database doesn't answer at present."
                return _json(Refusal(RefusalReason.LEDGER_UNAVAILABLE, sentence, 2), 503)

        return handle

    async def _not_a_broker(self, request: web.Request) -> web.Response | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return web.Response(status=401, text="A bearer token is needed.\n")
        try:
            caller = await self._reviewer.caller(Secret(token.strip()))
        except NotAuthenticatedError as error:
            return web.Response(status=401, text=f"{error}\n")
        except ReviewUnavailableError as error:
            return web.Response(status=503, text=f"{error}\n")
        if f"{caller.namespace}/{caller.service_account}" not in self._brokers:
            return web.Response(status=403, text="Only brokers may ask for leases.\n")
        return None

    async def _admit(self, body: bytes) -> web.Response:
        request = decode(body, LeaseRequest)
        _check_names(request)
        with self._metrics.admission_seconds.time():
            answer = await self._ledger.admit(request)
        self._metrics.answered("admit", answer, request)
        return _json(answer, 200 if isinstance(answer, LeaseGrant) else 409)

    async def _renew(self, body: bytes) -> web.Response:
        answer = await self._ledger.renew(_checked_report(body))
        self._metrics.answered("renew", answer)
        return _json(answer, 200 if isinstance(answer, LeaseGrant) else 409)

    async def _release(self, body: bytes) -> web.Response:
        refusal = await self._ledger.release(_checked_report(body))
        self._metrics.answered("release", refusal)
        return web.Response(status=204) if refusal is None else _json(refusal, 409)

    async def _sync(self, body: bytes) -> web.Response:
        sync = decode(body, KeySync)
        return _json(await self._keys.sync(sync), 200)


def _checked_report(body: bytes) -> LeaseReport:
    report = decode(body, LeaseReport)
    for amount in report.usage.amounts:
        _check(_TEXT, amount.model, "a model")
    return report


def _check_names(request: LeaseRequest) -> None:
    """Let nothing in that Kubernetes or Mistral would not have as a name: names become keys of rows. Raises MessageError."""
    for name in (request.namespace, request.integration, request.plan):
        _check(_NAME, name, "Kubernetes")
    for text in (request.broker, request.integration_uid, *request.models):
        _check(_TEXT, text, "a name")


def _check(pattern: re.Pattern[str], text: str, what: str) -> None:
    if pattern.fullmatch(text) is None:
        raise MessageError(f"The message can't be used: a name in it is none that {what} may have.")


def _json(message: msgspec.Struct, status: int) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(message), content_type="application/json")
