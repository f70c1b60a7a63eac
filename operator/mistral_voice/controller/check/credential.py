"""The tenant's key: whether the reference leads to one, and how clean it is."""

from mistral_voice.controller.check.finding import Finding, error, warning
from mistral_voice.controller.credential import TRIMMED
from mistral_voice.controller.input import Input, ResolvedCredential, UnresolvedCredential
from mistral_voice.controller.reasons import ConditionType


def credential_resolves(known: Input) -> Finding | None:
    """Find a reference that leads to no usable key."""
    found = known.credential
    if not isinstance(found, UnresolvedCredential):
        return None
    return error(ConditionType.CREDENTIAL_RESOLVED, found.reason, "spec.secretRef", found.sentence, found.suggestion)


def credential_clean(known: Input) -> Finding | None:
    """Find white space around the key, which the operator and the gateway alike take off."""
    if not isinstance(known.credential, ResolvedCredential) or not known.credential.trimmed:
        return None
    return warning(
        TRIMMED,
        "spec.secretRef",
        "The key has white space around it, such as a line break at its end. It is taken off wherever the key is used.",
        "Write the Secret again without it, for example with `printf %s` instead of `echo`.",
    )
