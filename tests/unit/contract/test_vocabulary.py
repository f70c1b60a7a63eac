"""ContractSpec's words, as they are."""

from enum import StrEnum

import pytest

from mistral_voice.contract import vocabulary


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (vocabulary.ConnectionStatus, "connected disconnected error unknown"),
        (vocabulary.Severity, "error warning info"),
        (vocabulary.KeyValidationStatus, "valid invalid unknown"),
        (vocabulary.SecretErrorCode, "NOT_FOUND FORBIDDEN INVALID UNKNOWN"),
        (
            vocabulary.ValidationCode,
            (
                "UNSUPPORTED_OWNERSHIP_MODE MODE_MISMATCH FOREIGN_CONNECTION CONNECTION_NOT_READY CATEGORY_MISMATCH "
                "CAPABILITY_NOT_PROVIDED CONNECTION_STATUS_UNKNOWN"
            ),
        ),
        (vocabulary.RotationReason, "scheduled compromised manual"),
    ],
)
def test_words_are_contractspecs(words: type[StrEnum], expected: str) -> None:
    assert [word.value for word in words] == expected.split()
