"""Serves the playground's few files, each as it is in the package, under a strict content security policy."""

import hashlib
from importlib.resources import files

from aiohttp import web

PATH = "/playground/"
_INDEX = "index.html"
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "worker-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class Playground:
    """The page and what it loads. It holds no secret: whoever opens it still needs the integration's token or a client secret."""

    def __init__(self) -> None:
        folder = files("mistral_voice.gateway.playground").joinpath("static")
        self._files = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES}
        self._tags = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in self._files.items()}

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Serve the page at `PATH`, and lead there from the root."""
        router.add_get("/", self._lead)
        router.add_get(PATH.rstrip("/"), self._lead)
        router.add_get(PATH + "{name:[a-z.-]*}", self._file)

    async def _lead(self, _: web.Request) -> web.Response:
        # Relative, so that it also leads there from behind a proxy that adds a path.
        return web.Response(status=302, headers={**_HEADERS, "Location": "playground/"})

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"] or _INDEX
        content = self._files.get(name)
        if content is None:
            return web.Response(status=404, text="There is no such file.\n", headers=_HEADERS)
        tag = self._tags[name]
        if any(etag.value == tag for etag in request.if_none_match or ()):
            response = web.Response(status=304, headers=_HEADERS)
        else:
            response = web.Response(body=content, content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8", headers=_HEADERS)
        response.etag = tag
        return response
