"""What the platform's side of managed mode says about one integration: its plan, the plan's pool, its namespace. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mistral_voice.contract.v1alpha1.plan import PlanSpecification


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """A plan as last seen. `spec` is None where it can't be read, as one of a newer version may not be: `fault` then says why."""

    name: str
    spec: PlanSpecification | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A pool as last seen. `active_keys` is None until the control plane has told of its keys."""

    name: str
    active_keys: int | None = None


@dataclass(frozen=True, slots=True)
class Platform:
    """The platform around one integration. `plan` and `pool` are None where there are none of the names that are referred to.

    `namespace_labels` are those of the integration's namespace. `ca_bundle` is PEM text of the broker's authorities, None for the system's.
    """

    plan: PlanFacts | None = None
    pool: PoolFacts | None = None
    namespace_labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    ca_bundle: str | None = None

    @property
    def granted(self) -> PlanSpecification | None:
        """Return the plan if it exists, can be read, and is offered to the namespace."""
        if self.plan is None or self.plan.spec is None or not self.plan.spec.namespace_selector.matches(self.namespace_labels):
            return None
        return self.plan.spec
