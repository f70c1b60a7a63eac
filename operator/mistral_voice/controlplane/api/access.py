"""Who may ask for what: the rights that RBAC gives on our resources, and nothing else."""

from typing import Final, Protocol

from mistral_voice.contract.names import GROUP, PLAN_KIND, PLAN_PLURAL, PLURAL, POOL_KIND, POOL_PLURAL, VERSION
from mistral_voice.contract.names import KIND as INTEGRATION_KIND
from mistral_voice.contract.secret import Secret
from mistral_voice.kube.authorization import Right
from mistral_voice.kube.identity import User
from mistral_voice.kube.resources import Resource

_PLANS: Final = Resource(GROUP, VERSION, PLAN_PLURAL, PLAN_KIND, namespaced=False)
_POOLS: Final = Resource(GROUP, VERSION, POOL_PLURAL, POOL_KIND, namespaced=False)
_INTEGRATIONS: Final = Resource(GROUP, VERSION, PLURAL, INTEGRATION_KIND)


class Users(Protocol):
    """Says whose token it is; see `mistral_voice.kube.identity.TokenReviews`."""

    async def caller(self, token: Secret) -> User:
        """Return whose token it is. Raises NotAuthenticatedError or ReviewUnavailableError."""
        ...


class Rights(Protocol):
    """Says what users may do; see `mistral_voice.kube.authorization.Authorizer`."""

    async def allows(self, user: User, right: Right) -> bool:
        """Tell whether a user has a right. Raises ReviewUnavailableError."""
        ...


def plan_usage(plan: str) -> Right:
    """Return the right to see all use of a plan; of all plans if there is no name."""
    return Right("get", _PLANS, "usage", name=plan)


def namespace_usage(namespace: str) -> Right:
    """Return the right to see what a namespace uses: whoever may read its integrations may."""
    return Right("get", _INTEGRATIONS, namespace=namespace)


def pool_status(pool: str) -> Right:
    """Return the right to see the state of a pool's keys; of all pools' if there is no name."""
    return Right("get", _POOLS, "status", name=pool)
