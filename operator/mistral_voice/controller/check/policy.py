"""What clients may choose."""

from collections.abc import Sequence

from mistral_voice.controller.check.finding import Finding, info
from mistral_voice.controller.input import Input


def policy_consistent(known: Input) -> Finding | None:
    """Find entries of the policy's lists that are there twice."""
    policy = known.valid_spec.policy
    if policy is None:
        return None
    lists = {"allowedModels": policy.allowed_models, "allowedVoices": policy.allowed_voices, "allowedOrigins": policy.allowed_origins}
    for field, values in lists.items():
        repeated = _repeated(values or ())
        if repeated is not None:
            return info(
                "PolicyRedundant",
                f"spec.policy.{field}",
                f"{repeated!r} is listed more than once.",
                "List each value once.",
            )
    return None


def _repeated(values: Sequence[str]) -> str | None:
    return next((value for index, value in enumerate(values) if value in values[:index]), None)
