"""The pool's keys: read one by one when a session needs them, never listed; and what Mistral says of each goes to the control plane."""

import asyncio
import base64
import binascii
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx2
from msgspec import Struct, structs

from mistral_voice.broker.allowance import Rate
from mistral_voice.broker.control_plane import ControlPlane, LedgerUnavailableError
from mistral_voice.contract.credential import CredentialError, parse_api_key
from mistral_voice.contract.lease import KeyOutcome, KeyReference, KeyReport, KeySync
from mistral_voice.contract.secret import Secret
from mistral_voice.contract.v1alpha1.pool import Region
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import KubeError, NotFound
from mistral_voice.kube.resources import SECRET
from mistral_voice.mistral.errors import MistralError, PermissionDenied, RateLimited, RequestRefused, Unauthorized
from mistral_voice.mistral.errors import NotFound as NoSuchPath
from mistral_voice.mistral.rest.client import MistralRest
from mistral_voice.runtime.redaction import Redactor

PROBE_SECONDS: Final = 5.0
SYNC_SECONDS: Final = 5.0
REPORTS_A_SECOND: Final = 5.0
REPORTS_AT_ONCE: Final = 10
"""So many reports go at once, then `REPORTS_A_SECOND`: refusals that follow one another without an end are told together."""
MOST_REPORTS: Final = 1000
_MOST_PROBES: Final = 16

_log: Final = logging.getLogger(__name__)


class PinnedKey(Struct, frozen=True):
    """A key as a session holds it: the value of one generation, and where it is good for."""

    reference: KeyReference
    value: Secret
    generation: str
    base_url: str


class KeyUnusableError(Exception):
    """The Secret can't be used; the text says why and never quotes a value."""


class KeyRing:
    """Reads keys. `base_url` is for tests with a simulator alone: it takes the place of the hosts of the regions."""

    def __init__(self, client: Client, namespace: str, redactor: Redactor, base_url: str | None = None) -> None:
        self._client = client
        self._namespace = namespace
        self._redactor = redactor
        self._base_url = base_url
        self._pins: Counter[str] = Counter()

    async def read(self, reference: KeyReference) -> PinnedKey:
        """Read a key. Raises KeyUnusableError."""
        try:
            region = Region(reference.region)
            body = await self._client.get(SECRET, self._namespace, reference.secret, timeout_seconds=3.0)
            return PinnedKey(reference, _value(body, reference.data_key), _generation(body), self._base_url or f"https://{region.host}")
        except NotFound:
            raise KeyUnusableError(f"The Secret {reference.secret} of the pool {reference.pool} is missing.") from None
        except KubeError as error:
            raise KeyUnusableError(f"The Secret {reference.secret} of the pool {reference.pool} can't be read: {error}") from None
        except ValueError as error:
            raise KeyUnusableError(f"The Secret {reference.secret} of the pool {reference.pool} can't be used: {error}") from None

    @contextmanager
    def pinned(self, key: PinnedKey) -> Iterator[None]:
        """Hold a key while the context lasts: so long the logs strike it out."""
        owner = f"{key.reference.secret}@{key.generation}"
        self._pins[owner] += 1
        self._redactor.know(owner, [key.value])
        try:
            yield
        finally:
            self._pins[owner] -= 1
            if not self._pins[owner]:
                del self._pins[owner]
                self._redactor.know(owner, [])


def _value(body: dict[str, Any], data_key: str) -> Secret:
    encoded = (body.get("data") or {}).get(data_key)
    if not isinstance(encoded, str):
        raise CredentialMissingError(data_key)
    try:
        return parse_api_key(base64.b64decode(encoded, validate=True)).secret
    except binascii.Error:
        raise CredentialMissingError(data_key) from None
    except CredentialError as error:
        raise ValueError(str(error)) from None


class CredentialMissingError(ValueError):
    """A Secret lacks its key."""

    def __init__(self, data_key: str) -> None:
        super().__init__(f"it has no key {data_key}.")


def _generation(body: dict[str, Any]) -> str:
    metadata = body["metadata"]
    return f"{metadata['uid']}/{metadata['resourceVersion']}"


class KeyReports:
    """What was seen of keys since the last report, each thing once. `urgent` is set by what the control plane should hear at once."""

    def __init__(self) -> None:
        self._reports: dict[tuple[str, str, str, KeyOutcome, bool], KeyReport] = {}
        self.urgent = asyncio.Event()

    def add(
        self,
        reference: KeyReference,
        generation: str,
        outcome: KeyOutcome,
        *,
        was_probe: bool = False,
        retry_after_seconds: int | None = None,
    ) -> None:
        """Note an outcome."""
        report = KeyReport(reference.pool, reference.secret, generation, outcome, was_probe, retry_after_seconds)
        mark = (report.pool, report.secret, generation, outcome, was_probe)
        known = self._reports.get(mark)
        if known is None and len(self._reports) >= MOST_REPORTS:
            return
        if known is not None and (known.retry_after_seconds or 0) > (retry_after_seconds or 0):
            report = structs.replace(report, retry_after_seconds=known.retry_after_seconds)
        self._reports[mark] = report
        if outcome is not KeyOutcome.ACCEPTED or was_probe:
            self.urgent.set()

    def take(self) -> tuple[KeyReport, ...]:
        """Return all, and begin anew."""
        reports = tuple(self._reports.values())
        self._reports.clear()
        self.urgent.clear()
        return reports

    def put_back(self, reports: tuple[KeyReport, ...]) -> None:
        """They did not arrive."""
        for report in reports:
            mark = (report.pool, report.secret, report.generation, report.outcome, report.was_probe)
            self._reports.setdefault(mark, report)


class KeyKeeper:
    """Tells the control plane of the keys, every few seconds, and probes those that it orders."""

    def __init__(self, name: str, control_plane: ControlPlane, ring: KeyRing, reports: KeyReports, http: httpx2.AsyncClient) -> None:
        self._name = name
        self._control_plane = control_plane
        self._ring = ring
        self._reports = reports
        self._http = http
        self._probing: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._pace = Rate(time.monotonic, REPORTS_A_SECOND, REPORTS_AT_ONCE)

    async def run(self) -> None:
        """Keep on until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                pause = await self._sync(tasks)
                try:
                    async with asyncio.timeout(pause):
                        await self._reports.urgent.wait()
                except TimeoutError:
                    continue
                if not self._pace.allows(self._name):
                    await asyncio.sleep(1 / REPORTS_A_SECOND)

    async def _sync(self, tasks: asyncio.TaskGroup) -> float:
        reports = self._reports.take()
        try:
            orders = await self._control_plane.sync_keys(KeySync(self._name, reports))
        except (LedgerUnavailableError, OSError):
            self._reports.put_back(reports)
            return SYNC_SECONDS
        for reference in orders.probe[:_MOST_PROBES]:
            mark = (reference.pool, reference.secret)
            if mark not in self._probing:
                task = self._probing[mark] = tasks.create_task(self._probe(reference))
                task.add_done_callback(lambda _, mark=mark: self._probing.pop(mark, None))  # type: ignore[misc]
        return float(min(60, max(1, orders.sync_again_seconds)))

    async def _probe(self, reference: KeyReference) -> None:
        try:
            key = await self._ring.read(reference)
        except KeyUnusableError as error:
            _log.warning("%s", error)
            self._reports.add(reference, "", KeyOutcome.SECRET_UNUSABLE, was_probe=True)
            return
        with self._ring.pinned(key):
            outcome, retry_after = await probe(MistralRest(self._http, key.base_url, key.value))
        self._reports.add(reference, key.generation, outcome, was_probe=True, retry_after_seconds=retry_after)


async def probe(mistral: MistralRest) -> tuple[KeyOutcome, int | None]:
    """Ask Mistral whether it takes a key, without inference; returns what came of it, and the seconds that Mistral asks to wait."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            try:
                await mistral.whoami()
            except (PermissionDenied, NoSuchPath):
                await mistral.models()
    except Unauthorized:
        return KeyOutcome.REFUSED, None
    except PermissionDenied:
        return KeyOutcome.FORBIDDEN, None
    except RateLimited as error:
        return KeyOutcome.RATE_LIMITED, None if error.retry_after_seconds is None else int(error.retry_after_seconds)
    except RequestRefused as error:
        return (KeyOutcome.BILLING if "(402)" in str(error) else KeyOutcome.UNREACHABLE), None
    except (MistralError, TimeoutError):
        return KeyOutcome.UNREACHABLE, None
    return KeyOutcome.ACCEPTED, None
