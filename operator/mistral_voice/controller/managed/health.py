"""The connection of a managed integration: its plan's state and its pool's, since the operator has no key to ask Mistral with. Pure."""

from dataclasses import dataclass

from mistral_voice.contract.v1alpha1.plan import StopPolicy
from mistral_voice.contract.vocabulary import ConnectionStatus
from mistral_voice.controller.managed.facts import Platform
from mistral_voice.controller.reasons import Reason


@dataclass(frozen=True, slots=True)
class PlatformHealth:
    """Whether the platform can serve sessions, and why not. `suggestion` is for the integration's owner."""

    status: ConnectionStatus
    reason: Reason
    sentence: str
    suggestion: str = ""


def platform_health(platform: Platform | None) -> PlatformHealth:
    """Return what is known. Without a plan that is granted nothing is."""
    plan = platform.granted if platform is not None else None
    if platform is None or plan is None or platform.plan is None:
        return PlatformHealth(ConnectionStatus.UNKNOWN, Reason.NOT_CHECKED, "Nothing is checked without a plan.")
    name, pool = platform.plan.name, platform.pool
    if plan.stop_policy is not StopPolicy.NONE:
        rest = "those that run go on" if plan.stop_policy is StopPolicy.HOLD else "those that run are ended"
        return PlatformHealth(
            ConnectionStatus.DISCONNECTED,
            Reason.PLAN_HELD,
            f"The platform team holds the plan {name!r}: new sessions are refused, {rest}.",
            "Ask the platform team when the plan is open again, or claim another plan.",
        )
    if pool is None:
        return PlatformHealth(
            ConnectionStatus.ERROR,
            Reason.POOL_NOT_FOUND,
            f"The plan {name!r} names a pool of keys that does not exist.",
            "Tell the platform team: this is theirs to mend.",
        )
    if pool.active_keys is None:
        return PlatformHealth(ConnectionStatus.UNKNOWN, Reason.NOT_CHECKED, "The platform's keys have not been checked yet.")
    if pool.active_keys == 0:
        return PlatformHealth(
            ConnectionStatus.ERROR,
            Reason.NO_ACTIVE_KEY,
            "None of the platform's keys takes sessions at present.",
            "Wait, or tell the platform team: the state of each key is in the status of the plan's pool.",
        )
    return PlatformHealth(ConnectionStatus.CONNECTED, Reason.CONNECTED, "The platform has a key that takes sessions.")
