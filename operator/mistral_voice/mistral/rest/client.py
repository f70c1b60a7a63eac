"""The client of Mistral's REST API. It trusts nothing that comes back: no redirects, no cookies, bounded and typed answers."""

import ssl
from collections.abc import AsyncIterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, TypeVar
from urllib.parse import urlencode

import httpx2
import msgspec

from mistral_voice.contract.secret import Secret
from mistral_voice.mistral.errors import InvalidAnswer, NotFound
from mistral_voice.mistral.rest.failures import error_of_status, translated
from mistral_voice.mistral.rest.models import Model, ModelList, Voice, VoiceOffsetPage, VoicePage, WhoAmI

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""Largest answer that is taken; the list of all models is about a tenth of a megabyte."""
VOICES_PER_PAGE: Final = 100
MAX_PAGES: Final = 50

_KEEP_ALIVE_SECONDS: Final = 60.0
_USER_AGENT: Final = "mistral-voice-operator"
_Answer = TypeVar("_Answer")
_Item = TypeVar("_Item", Model, Voice)


def open_http(ca_bundle: str | None = None, *, max_connections: int = 64) -> httpx2.AsyncClient:
    """Return an HTTP client for any number of keys, one per set of certificate authorities.

    `ca_bundle` is PEM text that replaces the system's authorities. Deadlines are the caller's: the client has none of its own. Raises
    ssl.SSLError if the bundle holds no certificate.
    """
    return httpx2.AsyncClient(
        verify=ssl.create_default_context(cadata=ca_bundle),
        follow_redirects=False,
        trust_env=False,
        timeout=None,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"User-Agent": _USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"},
        limits=httpx2.Limits(max_connections=max_connections, keepalive_expiry=_KEEP_ALIVE_SECONDS),
    )


class MistralRest:
    """Mistral's API with one key. Every method raises a MistralError; a deadline around the call raises TimeoutError as ever."""

    def __init__(self, http: httpx2.AsyncClient, base_url: str, key: Secret) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._key = key

    async def whoami(self) -> None:
        """Ask whose key it is. Not every key may."""
        await self._get("/v1/whoami", {}, WhoAmI)

    async def models(self) -> list[Model]:
        """Return all models that the key may use."""
        listing = await self._get("/v1/models", {}, ModelList)
        return _readable(listing.data, Model)

    async def find_voice(self, name: str) -> Voice | None:
        """Return the voice of this id or slug, or None if there is none.

        The listing by cursor is asked first; an API without it is asked by offset, which Mistral retires in 2027.
        """
        try:
            return await self._found(name, self._voices_by_cursor())
        except NotFound:
            return await self._found(name, self._voices_by_offset())

    async def _found(self, name: str, voices: AsyncIterator[Voice]) -> Voice | None:
        async for voice in voices:
            if voice.answers_to(name):
                return voice
        return None

    async def _voices_by_cursor(self) -> AsyncIterator[Voice]:
        query: dict[str, str | int] = {"page_size": VOICES_PER_PAGE}
        for _ in range(MAX_PAGES):
            page = await self._get("/v2/audio/voices", query, VoicePage)
            for voice in _readable(page.data, Voice):
                yield voice
            if not page.next_page_token:
                return
            query["page_token"] = page.next_page_token
        raise InvalidAnswer(f"Mistral's list of voices has no end: {MAX_PAGES} pages were read.")

    async def _voices_by_offset(self) -> AsyncIterator[Voice]:
        offset = 0
        for _ in range(MAX_PAGES):
            page = await self._get("/v1/audio/voices", {"limit": VOICES_PER_PAGE, "offset": offset}, VoiceOffsetPage)
            for voice in _readable(page.items, Voice):
                yield voice
            offset += len(page.items)
            if not page.items or offset >= page.total:
                return
        raise InvalidAnswer(f"Mistral's list of voices has no end: {MAX_PAGES} pages were read.")

    async def _get(self, path: str, query: Mapping[str, str | int], answer_type: type[_Answer]) -> _Answer:
        url = f"{self._base_url}{path}" + (f"?{urlencode(query)}" if query else "")
        with translated(path):
            async with self._http.stream("GET", url, headers={"Authorization": f"Bearer {self._key.reveal()}"}) as response:
                if response.status_code != httpx2.codes.OK:
                    raise error_of_status(response.status_code, response.headers, path)
                body = await _bounded_body(response, path)
        try:
            return msgspec.json.decode(body, type=answer_type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise InvalidAnswer(f"What {path} answered is not what Mistral's API documents.") from None


async def _bounded_body(response: httpx2.Response, path: str) -> bytes:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise InvalidAnswer(f"{path} answered in an encoding that was not asked for.")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise InvalidAnswer(f"{path} answered with more than {MAX_ANSWER_BYTES // (1024 * 1024)} MiB.")
    return bytes(body)


def _readable(items: list[msgspec.Raw], item_type: type[_Item]) -> list[_Item]:
    found = [_item(item, item_type) for item in items]
    readable = [item for item in found if item is not None]
    if items and not readable:
        raise InvalidAnswer("Mistral's API listed nothing that can be read: its shape is not the documented one.")
    return readable


def _item(item: msgspec.Raw, item_type: type[_Item]) -> _Item | None:
    try:
        return msgspec.json.decode(item, type=item_type)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
