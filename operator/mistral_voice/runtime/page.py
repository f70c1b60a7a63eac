"""A small web page without a build chain: its few files, each as it is in the package, under a strict content security policy."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from aiohttp import web

_INDEX: Final = "index.html"
_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)
_HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class StaticPage:
    """The files of a package's folder `static`, served below `path`, which begins and ends with a slash.

    `policy` adds directives to the content security policy, `headers` adds headers.
    """

    def __init__(self, package: str, path: str, *, policy: tuple[str, ...] = (), headers: Mapping[str, str] | None = None) -> None:
        folder = files(package).joinpath("static")
        self._path = path
        self._headers = {"Content-Security-Policy": "; ".join((*_POLICY, *policy)), **_HEADERS, **(headers or {})}
        self._files = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES}
        self._tags = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in self._files.items()}

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Serve the page, and lead there from the root."""
        router.add_get("/", self._lead)
        router.add_get(self._path.rstrip("/"), self._lead)
        router.add_get(self._path + "{name:[a-z.-]*}", self._file)

    async def _lead(self, _: web.Request) -> web.Response:
        # Relative, so that it also leads there from behind a proxy that adds a path.
        return web.Response(status=302, headers={**self._headers, "Location": self._path.removeprefix("/")})

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"] or _INDEX
        content = self._files.get(name)
        if content is None:
            return web.Response(status=404, text="There is no such file.\n", headers=self._headers)
        tag = self._tags[name]
        if any(etag.value == tag for etag in request.if_none_match or ()):
            response = web.Response(status=304, headers=self._headers)
        else:
            response = web.Response(body=content, content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8", headers=self._headers)
        response.etag = tag
        return response
