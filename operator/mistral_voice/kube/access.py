"""Where the API server is and how we prove who we are: configuration and credentials by `kubernetes.aio`, sessions by aiohttp."""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from mistral_voice.kube.errors import KubeError

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class NoAccess(KubeError):
    """There is no usable configuration for reaching a cluster."""


class Credentials:
    """The `Authorization` header of the moment. A pod's token is read again every minute, as it rotates; others after a 401."""

    def __init__(self, configuration: Any, reload: Callable[[], Awaitable[Any]]) -> None:
        self._configuration = configuration
        self._reload = reload
        self._refreshing = asyncio.Lock()

    async def authorization(self) -> str | None:
        """Return the header's value, or nothing where a client certificate is all there is."""
        value: str | None = await self._configuration.get_api_key_with_prefix("BearerToken")
        return value

    async def refresh(self, refused: str) -> bool:
        """Load the credentials anew after `refused` was. Return whether there is now another value to try."""
        async with self._refreshing:
            if await self.authorization() == refused:
                self._configuration = await self._reload()
            return await self.authorization() != refused

    async def __call__(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Sign one request, as an aiohttp client middleware. After a 401 it is sent once more if fresh credentials differ."""
        value = await self.authorization()
        if value is None:
            return await handler(request)
        request.headers["Authorization"] = value
        response = await handler(request)
        if response.status == 401 and await self.refresh(value):
            await response.read()
            request.headers["Authorization"] = await self.authorization() or ""
            response = await handler(request)
        return response


@dataclass(frozen=True, slots=True)
class Access:
    """A way to one API server. `namespace` is the pod's own, or the one of the kubeconfig's context."""

    server: str
    tls: ssl.SSLContext | None
    credentials: Credentials
    namespace: str
    proxy: str | None = None


async def load_access(kubeconfig: Path | None = None, context: str | None = None) -> Access:
    """Return the access that a kubeconfig describes; without one that of the pod we run in, else that of $KUBECONFIG or ~/.kube/config.

    Raises `NoAccess` with a sentence if there is none or it can't be read.
    """
    from kubernetes.aio import config  # lazy: it costs 25 MB and half a second, and only who talks to Kubernetes pays
    from kubernetes.aio.client import Configuration

    in_cluster = kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ and (_SERVICE_ACCOUNT / "token").is_file()
    location = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config"))

    async def load() -> tuple[Any, str]:
        configuration = Configuration()
        if in_cluster:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            return configuration, (_SERVICE_ACCOUNT / "namespace").read_text().strip()
        loader = await config.load_kube_config(location, context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
        return configuration, loader.current_context["context"].get("namespace") or "default"

    async def reload() -> Any:
        return (await load())[0]

    try:
        configuration, namespace = await load()
        tls = _tls(configuration)
    except (config.ConfigException, OSError, ValueError, TypeError, AttributeError) as error:
        source = "the pod's service account" if in_cluster else f"kubeconfig {location}"
        raise NoAccess(f"The access to Kubernetes can't be read from {source}: {error}") from error
    return Access(configuration.host.rstrip("/"), tls, Credentials(configuration, reload), namespace, configuration.proxy)


def _tls(configuration: Any) -> ssl.SSLContext | None:
    if not configuration.host.startswith("https"):
        return None
    tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        tls.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls


def open_session(access: Access, *, limit: int, traces: Sequence[aiohttp.TraceConfig] = ()) -> aiohttp.ClientSession:
    """Open a session of at most `limit` connections (0: no limit) that signs its requests. The caller closes it.

    Idle connections are probed, so that a peer that vanished is noticed within a minute. Compression is not asked for: it costs the API
    server and us more time than a cluster's network saves.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limit, ssl=access.tls if access.tls is not None else True, socket_factory=_lively_socket),
        headers={"Accept-Encoding": "identity", "User-Agent": "mistral-voice"},
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(access.credentials,),
        proxy=access.proxy,
        trace_configs=list(traces),
    )


def _lively_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    lively = socket.socket(family, kind, protocol)
    lively.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            lively.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return lively
