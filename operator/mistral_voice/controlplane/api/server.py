"""The API over HTTP: who asks, for what, may they; then the answer, or a problem in a sentence."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from mistral_voice.contract.secret import Secret
from mistral_voice.controlplane.api import openapi
from mistral_voice.controlplane.api.access import Rights, Users, plan_usage, pool_status
from mistral_voice.controlplane.api.answers import Access, Page, Problem
from mistral_voice.controlplane.api.operations import INTRODUCTION, Index, NotFound, Operation, Sources, indexes, operations
from mistral_voice.controlplane.api.parameters import BadRequest, read
from mistral_voice.controlplane.catalogue import Catalogue
from mistral_voice.controlplane.keys.keyring import KeyRing
from mistral_voice.controlplane.store.database import Database
from mistral_voice.kube.authorization import Right
from mistral_voice.kube.identity import NotAuthenticatedError, ReviewUnavailableError, User
from mistral_voice.runtime.health import Readiness

MOST_LISTED: Final = 200
"""A list without the right to all asks for the right to each, at most so many."""
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_log: Final = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Denied(Exception):
    """The one who asks lacks a right; the text says which."""


@dataclass(frozen=True)
class PeoplesApi:
    """Answers people and programs. Nothing of a request but its path, its query and its token is looked at, the Host header not either."""

    users: Users
    rights: Rights
    database: Database
    catalogue: Catalogue
    keys: KeyRing
    not_ready_because: Readiness

    def add_to(self, app: web.Application) -> None:
        """Serve it under `/api/`."""
        asked, lists = operations(), indexes()
        described = msgspec.json.encode(openapi.description(asked, lists))
        app.middlewares.append(problems)

        async def describe(_: web.Request) -> web.Response:
            return web.Response(body=described, content_type="application/json", headers=_HEADERS)

        app.router.add_get(openapi.PATH, describe, allow_head=False)
        app.router.add_get(INTRODUCTION.path, self._introduce, allow_head=False)
        for operation in asked:
            app.router.add_get(operation.path, self._answering(operation), allow_head=False)
        for index in lists:
            app.router.add_get(index.path, self._listing(index), allow_head=False)

    async def _introduce(self, request: web.Request) -> web.Response:
        user = await self._user(request)
        read((), {}, list(request.query.items()))
        plans, pools = [await self.rights.allows(user, right("")) for right in (plan_usage, pool_status)]
        return _json(Access(user=user.name, namespace=user.namespace, all_plans=plans, all_pools=pools))

    def _answering(self, operation: Operation) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            user = await self._user(request)
            asked = read(operation.parameters, request.match_info, list(request.query.items()))
            right = operation.right(asked)
            if not await self.rights.allows(user, right):
                raise Denied(f"You may not {right}: ask for a role that gives this right.")
            async with self.database.reading() as connection:
                answer = await operation.work(await self._sources(connection), asked)
            if isinstance(answer, str):
                return web.Response(text=answer, content_type="text/csv", headers=_HEADERS)
            return _json(answer)

        return handle

    def _listing(self, index: Index) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            user = await self._user(request)
            read((), {}, list(request.query.items()))
            async with self.database.reading() as connection:
                sources = await self._sources(connection)
            names = await self._allowed(user, index.right, index.names(sources))
            return _json(Page(items=tuple(index.work(sources, name) for name in names)))

        return handle

    async def _allowed(self, user: User, right: Callable[[str], Right], names: list[str]) -> list[str]:
        if await self.rights.allows(user, right("")):
            return names
        return [name for name in names[:MOST_LISTED] if await self.rights.allows(user, right(name))]

    async def _user(self, request: web.Request) -> User:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise NotAuthenticatedError(
                "A bearer token of your Kubernetes identity is needed, as kubectl create token --audience makes it."
            )
        user = await self.users.caller(Secret(token.strip()))
        reason = self.not_ready_because()
        if reason is not None:
            raise ReviewUnavailableError(reason)
        return user

    async def _sources(self, connection: AsyncConnection) -> Sources:
        return Sources(connection, self.catalogue.plans, self.catalogue.pools, self.keys, await self.database.now(connection))


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Make problems of what goes wrong under `/api/`."""
    if not request.path.startswith("/api/"):
        return await handler(request)
    try:
        return await handler(request)
    except BadRequest as error:
        return _problem(HTTPStatus.BAD_REQUEST, str(error))
    except NotAuthenticatedError as error:
        return _problem(HTTPStatus.UNAUTHORIZED, str(error), {"WWW-Authenticate": "Bearer"})
    except Denied as error:
        return _problem(HTTPStatus.FORBIDDEN, str(error))
    except NotFound as error:
        return _problem(HTTPStatus.NOT_FOUND, str(error))
    except ReviewUnavailableError as error:
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "2"})
    except web.HTTPMethodNotAllowed as error:
        return _problem(HTTPStatus.METHOD_NOT_ALLOWED, "The API only reads: use GET.", {"Allow": ", ".join(sorted(error.allowed_methods))})
    except web.HTTPNotFound:
        return _problem(HTTPStatus.NOT_FOUND, f"There is no such path; {openapi.PATH} describes those that there are.")
    except (SQLAlchemyError, OSError) as error:
        _log.warning("The API's database doesn't answer: %s", str(getattr(error, "orig", None) or error).partition("\n")[0])
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The ledger's database doesn't answer at present.", {"Retry-After": "2"})


def _json(answer: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json", headers=_HEADERS)


def _problem(status: HTTPStatus, detail: str, more: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(Problem(title=status.phrase, status=status.value, detail=detail))
    return web.Response(status=status.value, body=body, content_type="application/problem+json", headers={**_HEADERS, **(more or {})})
