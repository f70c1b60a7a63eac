"""ContractSpec's vocabulary for connections: the words keep their spelling and case.

Source: ContractSpec's integration runtime (connection status, health, validation issues, secret errors, key metadata).
"""

from dataclasses import dataclass
from enum import StrEnum


class ConnectionStatus(StrEnum):
    """State of a connection. `unknown` before the first check; `disconnected` and `error` block calls, `unknown` only warns."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    ERROR = "error"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """How much an issue matters: an `error` stands in the way of something, a `warning` deserves attention, an `info` is good to know."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class KeyValidationStatus(StrEnum):
    """What is known of a key: accepted, refused, or not known (never asked, or older than 24 hours)."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class SecretErrorCode(StrEnum):
    """Why a secret could not be read."""

    NOT_FOUND = "NOT_FOUND"
    FORBIDDEN = "FORBIDDEN"
    INVALID = "INVALID"
    UNKNOWN = "UNKNOWN"


class ValidationCode(StrEnum):
    """ContractSpec's codes of validation issues that apply to this integration."""

    UNSUPPORTED_OWNERSHIP_MODE = "UNSUPPORTED_OWNERSHIP_MODE"
    MODE_MISMATCH = "MODE_MISMATCH"
    FOREIGN_CONNECTION = "FOREIGN_CONNECTION"
    CONNECTION_NOT_READY = "CONNECTION_NOT_READY"
    CATEGORY_MISMATCH = "CATEGORY_MISMATCH"
    CAPABILITY_NOT_PROVIDED = "CAPABILITY_NOT_PROVIDED"
    CONNECTION_STATUS_UNKNOWN = "CONNECTION_STATUS_UNKNOWN"


class RotationReason(StrEnum):
    """Why a key was rotated."""

    SCHEDULED = "scheduled"
    COMPROMISED = "compromised"
    MANUAL = "manual"


@dataclass(frozen=True)
class ValidationIssue:
    """One finding about an integration. `path` is where in the resource (`spec.config.model`), `suggestion` what to do about it."""

    code: str
    severity: Severity
    path: str
    message: str
    suggestion: str = ""
