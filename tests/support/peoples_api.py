"""The API of people over real sockets, on a real ledger; who asks and what they may is told by tables instead of an API server."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from mistral_voice.contract.secret import Secret
from mistral_voice.contract.v1alpha1.pool import KeyPoolSpecification
from mistral_voice.controlplane.api.server import PeoplesApi
from mistral_voice.controlplane.catalogue import Catalogue
from mistral_voice.controlplane.console.pages import console
from mistral_voice.controlplane.keys.keyring import KeyRing
from mistral_voice.controlplane.main import listening
from mistral_voice.kube.authorization import Right
from mistral_voice.kube.identity import NotAuthenticatedError, ReviewUnavailableError, User
from tests.support.ledger import World

POOL = KeyPoolSpecification.model_validate({"keys": [{"name": "first", "secretRef": {"name": "secret-mistral-1"}}]})


@dataclass
class Table:
    """Tokens are users' names; `rights` are what each may, in words such as `get mistralvoiceplans/usage standard`."""

    rights: dict[str, set[str]] = field(default_factory=dict)
    is_down: bool = False
    everything: str = ""
    """A user who has every right."""

    async def caller(self, token: Secret) -> User:
        if self.is_down:
            raise ReviewUnavailableError("The API server can't be asked about tokens at present.")
        if token.reveal() not in self.rights:
            raise NotAuthenticatedError("The token is not accepted.")
        return User(token.reveal())

    async def allows(self, user: User, right: Right) -> bool:
        return user.name == self.everything or str(right) in self.rights[user.name]


@dataclass(frozen=True)
class Served:
    """Where it listens, and the table of rights."""

    base_url: str
    table: Table
    keys: KeyRing


PLATFORM = {
    "get mistralvoiceplans/usage",
    "get mistralvoiceplans/usage standard",
    "get mistralkeypools/status",
    "get mistralkeypools/status main",
}
"""What the platform team may; a tenant only what follows."""
TENANT = {"get mistralvoiceintegrations in namespace shop"}


@asynccontextmanager
async def peoples_api(world: World, tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """Serve it for the users `platform` and `tenant`, and `nobody` who has no right."""
    table = Table({"platform": PLATFORM | TENANT, "tenant": TENANT, "nobody": set()})
    catalogue = Catalogue()
    for name, plan in world.plans.items():
        catalogue.set_plan(name, plan.spec)
    catalogue.set_pool("main", POOL)
    keys = KeyRing(world.database, lambda: catalogue.pools)
    app = web.Application()
    PeoplesApi(table, table, world.database, catalogue, keys, lambda: None).add_to(app)
    console().add_to(app.router)
    async with listening(app, "127.0.0.1", 0, tls) as port:
        yield Served(f"{'http' if tls is None else 'https'}://127.0.0.1:{port}", table, keys)
