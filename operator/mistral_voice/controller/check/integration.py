"""The integration itself: its name, its mode, its endpoint."""

from mistral_voice.contract.names import MAX_NAME_LENGTH
from mistral_voice.contract.v1alpha1.integration import valid_name
from mistral_voice.contract.vocabulary import ValidationCode
from mistral_voice.controller.check.finding import Finding, invalid
from mistral_voice.controller.input import DEFAULT_ENDPOINT, Input
from mistral_voice.controller.reasons import Reason


def name_usable(known: Input) -> Finding | None:
    """Find a name after which no Service can be called. The API server refuses such names, unless the CRD is older than the operator."""
    if valid_name(known.name):
        return None
    return invalid(
        Reason.INVALID_NAME,
        "metadata.name",
        f"The name must be at most {MAX_NAME_LENGTH} characters of lower-case letters, digits and -, beginning with a letter, "
        "since Services are named after it.",
        "Create the integration again under another name.",
    )


def mode_installed(known: Input) -> Finding | None:
    """Find managed mode where the platform's side of it is not installed."""
    if not known.managed or known.platform is not None:
        return None
    return invalid(
        Reason.MANAGED_MODE_NOT_INSTALLED,
        "spec.mode",
        "Managed mode is not installed in this cluster: nothing runs for this integration.",
        "Ask the platform team for managed mode, or create the integration with mode byok and a key of your own.",
        code=ValidationCode.UNSUPPORTED_OWNERSHIP_MODE.value,
    )


def endpoint_listed(known: Input) -> Finding | None:
    """Find an endpoint that the administrator does not offer."""
    if known.managed or known.endpoint is not None:
        return None
    wanted = known.valid_spec.endpoint or DEFAULT_ENDPOINT
    offered = ", ".join(sorted(endpoint.name for endpoint in known.operator.endpoints)) or "none"
    return invalid(
        Reason.UNKNOWN_ENDPOINT,
        "spec.endpoint",
        f"There is no endpoint {wanted!r}. Endpoints of this cluster: {offered}.",
        "Name one of these, or ask the administrator to add it to the operator's list of endpoints.",
    )
