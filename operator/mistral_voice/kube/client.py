"""A thin client of the API server: Kubernetes' verbs over prepared JSON."""

import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import msgspec

from mistral_voice.kube.access import Access
from mistral_voice.kube.errors import Unreachable, api_error
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import Resource
from mistral_voice.kube.transport import DEFAULT_TIMEOUT_SECONDS, JSON, Call, Fence, RequestObserver, Transport, unobserved

LIST_TIMEOUT_SECONDS: Final = 60.0
WATCH_TIMEOUT_SECONDS: Final = 240.0

_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_APPLY_PATCH: Final = "application/apply-patch+yaml"
_JSON_PATCH: Final = "application/json-patch+json"
_MERGE_PATCH: Final = "application/merge-patch+json"

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class WatchEvent(msgspec.Struct, frozen=True):
    """One line of a watch: `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`, and the object still as JSON."""

    type: str
    object: msgspec.Raw

    def decode(self) -> KubeObject:
        """Return the object as plain JSON."""
        return _decode(self.object)


class _ListMeta(msgspec.Struct):
    resource_version: str = msgspec.field(default="", name="resourceVersion")
    continue_token: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct, Generic[Item]):
    metadata: _ListMeta
    items: list[Item] | None = None


_decode_raw_list: Final = msgspec.json.Decoder(_List[msgspec.Raw]).decode
_decode_watch_event: Final = msgspec.json.Decoder(WatchEvent).decode


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, each item still as JSON and valid only as long as the page is; `resource_version` is the whole list's."""

    items: Sequence[msgspec.Raw]
    resource_version: str


class Client:
    """Requests to one API server, each with a time-out of its own.

    Answers 429, and 5xx that say when to come back, are tried again a few times. All else raises: `ApiError` or one of its subclasses for
    an answer, `Unreachable` for none. Use it as a context manager: it owns its connections.
    """

    def __init__(
        self,
        access: Access,
        *,
        connections: int = 32,
        observe: RequestObserver = unobserved,
        clock: Callable[[], float] = time.monotonic,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> None:
        self._transport = Transport(access, connections=connections, observe=observe, clock=clock, timeout_seconds=timeout_seconds)

    async def __aenter__(self) -> Self:
        self._transport.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._transport.close()

    def fenced(self, fence: Fence) -> "Client":
        """Return a client over the same connections whose writes begin only while `fence` says so, and end before another may lead."""
        client = object.__new__(Client)
        client._transport = self._transport.fenced(fence)
        return client

    async def get(
        self, resource: Resource, namespace: str | None, name: str, *, metadata_only: bool = False, timeout_seconds: float | None = None
    ) -> KubeObject:
        """Read one object, or only its metadata."""
        accept = _METADATA if metadata_only else JSON
        return await self._send(Call("get", "GET", resource, namespace, name, accept=accept, timeout_seconds=timeout_seconds))

    async def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        page_size: int = 500,
    ) -> AsyncGenerator[Page, None]:
        """Read a list page by page. Raises `Gone` if it takes so long that the server has forgotten where it was."""
        query = {"limit": str(page_size)} | _selection(label_selector, field_selector)
        accept = _METADATA_LIST if metadata_only else JSON
        while True:
            call = Call("list", "GET", resource, namespace, query=query, accept=accept, timeout_seconds=LIST_TIMEOUT_SECONDS)
            page = _decoded(call, _decode_raw_list, await self._transport.request(call))
            yield Page(page.items or [], page.metadata.resource_version)
            if not page.metadata.continue_token:
                return
            query = query | {"continue": page.metadata.continue_token}

    async def list_all(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
    ) -> list[KubeObject]:
        """Read a whole list. Its items have neither `apiVersion` nor `kind`: the API server leaves them out."""
        pages = self.pages(resource, namespace, label_selector=label_selector, field_selector=field_selector, metadata_only=metadata_only)
        return [_decode(item) async for page in pages for item in page.items]

    async def create(
        self,
        resource: Resource,
        namespace: str | None,
        body: KubeObject,
        *,
        field_manager: str = "",
        metadata_only: bool = False,
        timeout_seconds: float | None = None,
    ) -> KubeObject:
        """Make a new object and return it, or only its metadata. Raises `AlreadyExists` if its name is taken."""
        query, accept = _managed_by(field_manager), _METADATA if metadata_only else JSON
        call = Call("create", "POST", resource, namespace, None, None, query, _encode(body), accept=accept, timeout_seconds=timeout_seconds)
        return await self._send(call)

    async def create_json(
        self, resource: Resource, namespace: str | None, body: KubeObject, *, field_manager: str, metadata_only: bool = False
    ) -> bytes:
        """Make a new object as `create` does, and return the answer undecoded."""
        query, accept = _managed_by(field_manager), _METADATA if metadata_only else JSON
        return await self._transport.request(Call("create", "POST", resource, namespace, None, None, query, _encode(body), accept=accept))

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: KubeObject,
        *,
        field_manager: str,
        force: bool = False,
        subresource: str | None = None,
        metadata_only: bool = False,
        dry_run: bool = False,
    ) -> KubeObject:
        """Apply an object server-side: what `body` sets is ours afterwards; what we applied before and do no longer goes away.

        With `metadata.uid` in the body an object that is gone is not made again: `Conflict`. A `dry_run` only asks: nothing is stored.
        """
        query = {"fieldManager": field_manager, "force": "true" if force else "false"} | ({"dryRun": "All"} if dry_run else {})
        accept = _METADATA if metadata_only else JSON
        return await self._send(Call("apply", "PATCH", resource, namespace, name, subresource, query, _encode(body), _APPLY_PATCH, accept))

    async def json_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        operations: Sequence[Mapping[str, Any]],
        *,
        field_manager: str = "",
        subresource: str | None = None,
        metadata_only: bool = False,
    ) -> KubeObject:
        """Send a JSON patch (RFC 6902)."""
        query, accept = _managed_by(field_manager), _METADATA if metadata_only else JSON
        body = _encode(operations)
        return await self._send(Call("patch", "PATCH", resource, namespace, name, subresource, query, body, _JSON_PATCH, accept))

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: KubeObject,
        *,
        field_manager: str = "",
        subresource: str | None = None,
        metadata_only: bool = False,
    ) -> KubeObject:
        """Send a merge patch (RFC 7386). With `metadata.resourceVersion` in it, a change in between raises `Conflict`."""
        query, accept = _managed_by(field_manager), _METADATA if metadata_only else JSON
        body = _encode(patch)
        return await self._send(Call("patch", "PATCH", resource, namespace, name, subresource, query, body, _MERGE_PATCH, accept))

    async def replace(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: KubeObject,
        *,
        field_manager: str = "",
        subresource: str | None = None,
        timeout_seconds: float | None = None,
    ) -> KubeObject:
        """Put a whole object in the place of another, or its status (`subresource="status"`).

        The body's `metadata.resourceVersion` is the one that was read: `Conflict` if the object has changed since.
        """
        query, payload = _managed_by(field_manager), _encode(body)
        return await self._send(
            Call("update", "PUT", resource, namespace, name, subresource, query, payload, timeout_seconds=timeout_seconds)
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str = "Background",
    ) -> None:
        """Delete an object: only the one with this UID and resourceVersion where they are given, else `Conflict`."""
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        options = {"propagationPolicy": propagation, "preconditions": {key: value for key, value in preconditions.items() if value}}
        await self._transport.request(Call("delete", "DELETE", resource, namespace, name, body=_encode(options)))

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        timeout_seconds: float = WATCH_TIMEOUT_SECONDS,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Follow changes from a resourceVersion on until the server ends the stream, after `timeout_seconds` at the latest.

        Raises `Gone` when the version is too old, at once or in mid-stream: then list anew.
        """
        query = _selection(label_selector, field_selector)
        query |= {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(math.ceil(timeout_seconds))}
        query["resourceVersion"] = resource_version
        call = Call("watch", "GET", resource, namespace, query=query, accept=_METADATA if metadata_only else JSON)
        async with aclosing(self._transport.stream(call, timeout_seconds=timeout_seconds)) as lines:
            async for line in lines:
                event = _decoded(call, _decode_watch_event, line)
                if event.type == "ERROR":
                    raise api_error(500, bytes(event.object), what=str(call), sensitive=resource.sensitive)
                yield event

    async def _send(self, call: Call) -> KubeObject:
        return _decoded(call, _decode, await self._transport.request(call))


def _decoded(call: Call, decode: Callable[[bytes], Answer], payload: bytes) -> Answer:
    try:
        return decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreachable(f"What answered was not the API server, or only a part of it came: {call}.") from error


def _managed_by(field_manager: str) -> dict[str, str]:
    return {"fieldManager": field_manager} if field_manager else {}


def _selection(label_selector: str, field_selector: str) -> dict[str, str]:
    selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: selector for name, selector in selectors.items() if selector}
