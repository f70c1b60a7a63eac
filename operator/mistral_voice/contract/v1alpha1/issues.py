"""From Pydantic's findings to ContractSpec's issues, each with its place in the resource."""

from pydantic import ValidationError

from mistral_voice.contract.vocabulary import Severity, ValidationIssue


def spec_issues(error: ValidationError) -> list[ValidationIssue]:
    """Return what is wrong with a spec, without quoting any of it but the names of its fields."""
    return [
        ValidationIssue(
            code="InvalidSpec",
            severity=Severity.ERROR,
            path=".".join(("spec", *(str(part) for part in fault["loc"])))[:256],
            message=fault["msg"][:1024],
            suggestion="Correct the field and apply the resource again.",
        )
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
