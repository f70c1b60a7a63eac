"""Kubernetes Events, recorded without ever holding up who records: repeated ones are counted, floods are cut off, failures are dropped.

The rules are client-go's: an Event that recurs within ten minutes is counted up; an object gets 25 at once, then one every five minutes.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from uuid import uuid4

from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import KubeError, NotFound
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import EVENT

SERIES_SECONDS: Final = 600.0
BURST: Final = 25
REFILL_SECONDS: Final = 300.0
_MAX_REMEMBERED: Final = 4096
_MAX_QUEUED: Final = 1000
_MAX_NOTE_BYTES: Final = 1024
_MAX_NAME: Final = 200

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """The object that an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    def to_json(self) -> KubeObject:
        """Return it as an Event's `regarding`."""
        reference = {"apiVersion": self.api_version, "kind": self.kind, "name": self.name, "uid": self.uid}
        return {**reference, "namespace": self.namespace} if self.namespace else reference


class EventOutcome(StrEnum):
    """What became of an Event: `DROPPED` by the filter or a full queue, `FAILED` at the API server."""

    WRITTEN = "written"
    DROPPED = "dropped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _Event:
    regarding: ObjectReference
    type: str
    reason: str
    action: str
    note: str


@dataclass(slots=True)
class _Series:
    """How often an Event has come, and by what name it stands in the cluster (none: not yet)."""

    event: _Event
    seen_at: float
    seen_time: datetime
    count: int = 1
    name: str = ""
    queued: bool = False


@dataclass(slots=True)
class _Allowance:
    """The Events that an object may still have: a bucket of 25 that fills by one every five minutes."""

    at: float
    tokens: float = field(default=BURST)

    def take(self, now: float) -> bool:
        self.tokens = min(BURST, self.tokens + (now - self.at) / REFILL_SECONDS)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def _unobserved(_outcome: EventOutcome) -> None:
    """Let an Event pass uncounted."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class EventRecorder:
    """Records Events in `events.k8s.io/v1`. `run` is a task of the caller's that writes them."""

    def __init__(
        self,
        client: Client,
        *,
        controller: str,
        instance: str,
        observe: Callable[[EventOutcome], None] = _unobserved,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._client = client
        self._controller = controller
        self._instance = instance
        self._observe = observe
        self._clock = clock
        self._wall_clock = wall_clock
        self._series: OrderedDict[_Event, _Series] = OrderedDict()
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()
        self._queue: asyncio.Queue[_Series] = asyncio.Queue(_MAX_QUEUED)

    def record(self, regarding: ObjectReference, type: str, reason: str, note: str, action: str) -> None:  # noqa: A002 - the field's name
        """Record that something happened to an object. `type` is `Normal` or `Warning`, `reason` and `action` are CamelCase words.

        It returns at once. `note` is a sentence without secrets; what exceeds Kubernetes' 1024 bytes is cut.
        """
        event = _Event(regarding, type, reason, action, _cut(note))
        now = self._clock()
        series = self._series.get(event)
        if series is not None and now - series.seen_at < SERIES_SECONDS:
            series.count += 1
            series.seen_at, series.seen_time = now, self._wall_clock()
        else:
            series = self._series[event] = _Series(event, now, self._wall_clock())
        self._series.move_to_end(event)
        _shrink(self._series)
        if series.queued:
            return
        if self._queue.full() or not self._allowance(regarding.uid, now).take(now):
            self._observe(EventOutcome.DROPPED)
            return
        series.queued = True
        self._queue.put_nowait(series)

    async def run(self) -> None:
        """Write what was recorded, one after the other, until cancelled."""
        while True:
            series = await self._queue.get()
            series.queued = False
            try:
                await self._write(series)
            except KubeError as error:
                _log.info("An Event was not written: %s", error)
                self._observe(EventOutcome.FAILED)
            else:
                self._observe(EventOutcome.WRITTEN)

    def _allowance(self, uid: str, now: float) -> _Allowance:
        allowance = self._allowances.setdefault(uid, _Allowance(now))
        self._allowances.move_to_end(uid)
        _shrink(self._allowances)
        return allowance

    async def _write(self, series: _Series) -> None:
        namespace = series.event.regarding.namespace or "default"
        if series.name:
            try:
                await self._client.merge_patch(EVENT, namespace, series.name, {"series": _counted(series)}, metadata_only=True)
            except NotFound:
                series.name = ""
            else:
                return
        name = f"{series.event.regarding.name[:_MAX_NAME]}.{uuid4().hex[:16]}"
        await self._client.create(EVENT, namespace, self._body(series, namespace, name), metadata_only=True)
        series.name = name

    def _body(self, series: _Series, namespace: str, name: str) -> KubeObject:
        event = series.event
        body = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": _micro_time(series.seen_time),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
            "type": event.type,
            "reason": event.reason,
            "action": event.action,
            "note": event.note,
            "regarding": event.regarding.to_json(),
        }
        return {**body, "series": _counted(series)} if series.count > 1 else body


def _counted(series: _Series) -> KubeObject:
    return {"count": series.count, "lastObservedTime": _micro_time(series.seen_time)}


def _micro_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _cut(note: str) -> str:
    return note.encode()[:_MAX_NOTE_BYTES].decode(errors="ignore")


def _shrink(remembered: OrderedDict[_Event, _Series] | OrderedDict[str, _Allowance]) -> None:
    while len(remembered) > _MAX_REMEMBERED:
        remembered.popitem(last=False)
