"""The children: names that others bear, and what the API server says to them."""

from mistral_voice.controller.check.finding import Finding, grave, invalid
from mistral_voice.controller.input import Input
from mistral_voice.controller.reasons import Reason
from mistral_voice.controller.rollout import one_line


def child_names_free(known: Input) -> Finding | None:
    """Find an object that is not ours and bears the name of a child. Nothing of it is touched."""
    taken = next((taken for taken in known.taken if not taken.leaving), None)
    if taken is None:
        return None
    return invalid(
        Reason.CHILD_NAME_TAKEN,
        "metadata.name",
        f"The {taken.kind} {taken.name!r} exists and does not belong to this integration. {one_line(taken.sentence)}".rstrip(),
        f"Delete or rename that {taken.kind}, or create the integration under another name.",
    )


def children_accepted(known: Input) -> Finding | None:
    """Find a child that the API server refused for what the spec asks."""
    refused = known.refused
    if refused is None or refused.passing:
        return None
    return invalid(
        Reason.REFUSED_BY_SERVER,
        "spec",
        f"The API server refused the {refused.kind} {refused.name!r}: {one_line(refused.sentence)}",
        "Correct the field that it names; until then it and what would come after it stay as they were.",
    )


def children_writable(known: Input) -> Finding | None:
    """Find a child that the API server does not take at present, though the spec is fine."""
    refused = known.refused
    if refused is None or not refused.passing:
        return None
    return grave(
        Reason.APPLY_FAILED.value,
        "status.gateway",
        f"The API server does not take the {refused.kind} {refused.name!r} at present: {one_line(refused.sentence)}",
        "It is tried again; look at the namespace's quotas and the operator's rights.",
    )
