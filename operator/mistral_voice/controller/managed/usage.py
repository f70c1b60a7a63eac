"""What managed integrations have used, as the control plane tells it: the leader asks every few minutes and keeps what it was told."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from mistral_voice.contract.v1alpha1.plan import Limits, PlanSpecification
from mistral_voice.controller.settings import ControlPlaneSettings
from mistral_voice.kube.objects import ObjectKey
from mistral_voice.runtime.answers import whole_body

EVERY_SECONDS: Final = 300.0
"""A status is coarse: what happens between two rounds shows in the next."""
_PAGE: Final = 200
_ANSWER_SECONDS: Final = 10.0
_LARGEST_BYTES: Final = 4 * 1024 * 1024
_LONGEST_WORD: Final = 128
_LONGEST_SENTENCE: Final = 1024

_log: Final = logging.getLogger(__name__)

Usage = Mapping[str, Any]
"""`status.usage` of an integration."""
PlanKey = tuple[str, ObjectKey]


class _Used(msgspec.Struct, rename="camel"):
    session_ms: int


class _Standing(msgspec.Struct):
    used: _Used


class _Integration(msgspec.Struct):
    namespace: str
    integration: str
    period: str
    sessions: int
    standing: _Standing
    exhausted: str | None = None
    message: str = ""


class _Page(msgspec.Struct):
    items: list[_Integration]
    next: str | None = None


_decode: Final = msgspec.json.Decoder(_Page).decode


class UsageUnknown(Exception):
    """The control plane gave no usable answer; the text says why."""


class PlatformUsage:
    """The use of each integration under the plan that it claims. `plans` are those to ask for, `changed` is told whose use is another."""

    def __init__(
        self,
        settings: ControlPlaneSettings | None,
        ca_bundle_file: Path | None,
        plans: Callable[[], Mapping[str, PlanSpecification]],
        changed: Callable[[Iterable[ObjectKey]], None],
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._settings = settings
        self._ca_bundle_file = ca_bundle_file
        self._plans = plans
        self._changed = changed
        self._every_seconds = every_seconds
        self._known: Mapping[PlanKey, Usage] = MappingProxyType({})

    def of(self, key: ObjectKey, plan: str) -> Usage | None:
        """Return an integration's use, or None if nothing is known of it."""
        return self._known.get((plan, key))

    async def run(self) -> None:
        """Ask again and again, if there is whom to ask; cancel it. What can't be learnt leaves the last figures in force."""
        while self._settings is not None:
            try:
                await self._round(self._settings)
            except UsageUnknown as error:
                _log.warning("The use of managed integrations stays as it was told last: %s", error)
            await asyncio.sleep(self._every_seconds)

    async def _round(self, settings: ControlPlaneSettings) -> None:
        try:
            token = settings.token_file.read_text(encoding="ascii").strip()
            context = ssl.create_default_context(cafile=self._ca_bundle_file)
        except (OSError, ValueError) as error:
            raise UsageUnknown(f"the token or the authorities can't be read: {error}") from error
        found: dict[PlanKey, Usage] = {}
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=aiohttp.TCPConnector(ssl=context)) as http:
            for name, plan in self._plans().items():
                async for item in _integrations(http, settings.url, name):
                    found[name, ObjectKey(item.namespace, item.integration)] = usage_of(item, plan)
        before, self._known = self._known, found
        self._changed([key for (plan, key), usage in found.items() if before.get((plan, key)) != usage])


async def _integrations(http: aiohttp.ClientSession, url: str, plan: str) -> Any:
    cursor: str | None = ""
    while cursor is not None:
        query = urlencode({"limit": _PAGE, **({"cursor": cursor} if cursor else {})})
        page = await _page(http, f"{url}/api/v1/plans/{quote(plan, safe='')}/integrations?{query}")
        for item in page.items:
            yield item
        cursor = page.next


async def _page(http: aiohttp.ClientSession, url: str) -> _Page:
    try:
        async with http.get(url, allow_redirects=False) as answer:
            if answer.status == 404:
                return _Page([])  # A plan that is younger than the control plane's last look.
            if answer.status != 200:
                raise UsageUnknown(f"the control plane answers {answer.status}")
            body = await whole_body(answer, _LARGEST_BYTES)
        return _decode(body)
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise UsageUnknown(f"the control plane can't be reached: {type(error).__name__}") from error
    except msgspec.DecodeError as error:
        raise UsageUnknown(f"the control plane's answer is not understood: {error}") from error


def usage_of(item: _Integration, plan: PlanSpecification) -> Usage:
    """Return `status.usage`: whole minutes, so that it isn't written anew for each second."""
    seconds = item.standing.used.session_ms // 60_000 * 60
    limits = _limits(plan.per_integration or plan.limits)
    usage: dict[str, Any] = {"period": item.period, "sessions": item.sessions, "seconds": seconds}
    if limits:
        usage["limits"] = limits
    if item.exhausted is not None:
        usage["exhausted"] = {"reason": item.exhausted[:_LONGEST_WORD], "message": item.message[:_LONGEST_SENTENCE]}
    return usage


def _limits(limits: Limits) -> dict[str, int]:
    named = {"concurrentSessions": limits.concurrent_sessions, "seconds": limits.session_seconds_per_period}
    return {name: value for name, value in named.items() if value is not None}
