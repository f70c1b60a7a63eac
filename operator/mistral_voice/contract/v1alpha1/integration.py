"""MistralVoiceIntegration: one integration of a namespace with Mistral, and what a reader of the API server gets."""

import re
from typing import Any

from pydantic import ValidationError

from mistral_voice.contract.names import MAX_NAME_LENGTH
from mistral_voice.contract.v1alpha1.base import ResourceModel, Rule
from mistral_voice.contract.v1alpha1.issues import spec_issues
from mistral_voice.contract.v1alpha1.spec import IntegrationSpecification
from mistral_voice.contract.v1alpha1.status import IntegrationStatus
from mistral_voice.contract.vocabulary import ValidationIssue

_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_NAME_SENTENCE = (
    f"metadata.name must be at most {MAX_NAME_LENGTH} characters: lower-case letters, digits and -, beginning with a letter and "
    "ending with a letter or digit, since Services are named after it"
)


def valid_name(name: str) -> bool:
    """Tell whether an integration may bear this name: DNS-1035, at most 40 characters."""
    return len(name) <= MAX_NAME_LENGTH and _DNS_1035.fullmatch(name) is not None


class MistralVoiceIntegration(ResourceModel):
    """A real-time voice agent on Mistral's models: an authenticated, observed endpoint for voice clients."""

    spec: IntegrationSpecification
    """What is wanted."""
    status: IntegrationStatus | None = None
    """What was observed; written by the operator."""

    rules = (
        Rule(
            f"size(self.metadata.name) <= {MAX_NAME_LENGTH} && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            _NAME_SENTENCE,
        ),
    )


def parse_spec(spec: Any) -> IntegrationSpecification | list[ValidationIssue]:
    """Return the typed spec, or what is wrong with it, each finding with its place. Never raises on untrusted input."""
    try:
        return IntegrationSpecification.model_validate(spec)
    except ValidationError as error:
        return spec_issues(error)
