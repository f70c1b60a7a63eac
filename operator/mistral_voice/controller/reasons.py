"""The conditions of an integration and every reason that each can bear. `docs/conditions.md` is held against this table by a test."""

from enum import StrEnum
from typing import Final


class ConditionType(StrEnum):
    """The conditions, in the order in which status shows them."""

    CONFIG_VALID = "ConfigValid"
    CREDENTIAL_RESOLVED = "CredentialResolved"
    HEALTHY = "Healthy"
    GATEWAY_AVAILABLE = "GatewayAvailable"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    WITHIN_QUOTA = "WithinQuota"
    """Only where the control plane has told of an integration's use. No part of Ready."""


class Reason(StrEnum):
    """Why a condition is what it is. One word has one meaning, whichever condition bears it."""

    # ConfigValid
    VALID = "Valid"
    INVALID_NAME = "InvalidName"
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_ENDPOINT = "UnknownEndpoint"
    MANAGED_MODE_NOT_INSTALLED = "ManagedModeNotInstalled"
    PLAN_NOT_FOUND = "PlanNotFound"
    PLAN_NOT_ALLOWED = "PlanNotAllowed"
    PLAN_INVALID = "PlanInvalid"
    MODEL_NOT_IN_PLAN = "ModelNotInPlan"
    VOICE_NOT_IN_PLAN = "VoiceNotInPlan"
    INVALID_POD_TEMPLATE = "InvalidPodTemplate"
    INVALID_RESOURCES = "InvalidResources"
    INVALID_EXPOSURE = "InvalidExposure"
    GATEWAY_API_NOT_INSTALLED = "GatewayAPINotInstalled"
    TOKEN_SECRET_INVALID = "TokenSecretInvalid"  # noqa: S105 - a reason
    TLS_SECRET_NOT_FOUND = "TLSSecretNotFound"  # noqa: S105 - a reason
    CHILD_NAME_TAKEN = "ChildNameTaken"
    REFUSED_BY_SERVER = "RefusedByServer"

    # CredentialResolved
    RESOLVED = "Resolved"
    PROVIDED_BY_PLATFORM = "ProvidedByPlatform"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason
    SECRET_FORBIDDEN = "SecretForbidden"  # noqa: S105 - a reason
    SECRET_UNREADABLE = "SecretUnreadable"  # noqa: S105 - a reason
    SECRET_TYPE_NOT_ALLOWED = "SecretTypeNotAllowed"  # noqa: S105 - a reason
    KEY_MISSING = "KeyMissing"
    KEY_EMPTY = "KeyEmpty"
    KEY_BLANK = "KeyBlank"
    KEY_NOT_ASCII = "KeyNotASCII"
    KEY_HAS_CONTROL_CHARACTERS = "KeyHasControlCharacters"
    KEY_HAS_INNER_SPACE = "KeyHasInnerSpace"
    KEY_TOO_LONG = "KeyTooLong"
    NOT_LOOKED_UP = "NotLookedUp"

    # Healthy
    CONNECTED = "Connected"
    NOT_CHECKED = "NotChecked"
    UNAUTHORIZED = "Unauthorized"
    PERMISSION_DENIED = "PermissionDenied"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_RETIRED = "ModelRetired"
    MODEL_CANNOT_CHAT = "ModelCannotChat"
    TRANSCRIPTION_MODEL_NOT_FOUND = "TranscriptionModelNotFound"
    SPEECH_MODEL_NOT_FOUND = "SpeechModelNotFound"
    VOICE_NOT_FOUND = "VoiceNotFound"
    RATE_LIMITED = "RateLimited"
    UPSTREAM_ERROR = "UpstreamError"
    UPSTREAM_TIMEOUT = "UpstreamTimeout"
    CONNECTION_FAILED = "ConnectionFailed"
    TLS_ERROR = "TLSError"
    NAME_NOT_RESOLVED = "NameNotResolved"
    INVALID_ANSWER = "InvalidAnswer"
    CREDENTIAL_UNRESOLVED = "CredentialUnresolved"
    PLAN_HELD = "PlanHeld"
    POOL_NOT_FOUND = "PoolNotFound"
    NO_ACTIVE_KEY = "NoActiveKey"

    # GatewayAvailable, Reconciling, Stalled
    PODS_READY = "PodsReady"
    NO_PODS_READY = "NoPodsReady"
    NOT_DEPLOYED = "NotDeployed"
    SUSPENDED = "Suspended"
    SCALED_TO_ZERO = "ScaledToZero"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CRASH_LOOP = "CrashLoop"
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    UNSCHEDULABLE = "Unschedulable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    ADMISSION_DENIED = "AdmissionDenied"
    PODS_NOT_CREATED = "PodsNotCreated"
    NOT_READY_IN_TIME = "NotReadyInTime"
    ROLLING_OUT = "RollingOut"
    ROLLOUT_PENDING = "RolloutPending"
    DRAINING = "Draining"
    CHILDREN_TERMINATING = "ChildrenTerminating"
    CHECKING = "Checking"
    APPLY_FAILED = "ApplyFailed"
    AS_EXPECTED = "AsExpected"

    # Ready
    READY = "Ready"

    # WithinQuota
    QUOTA_LEFT = "QuotaLeft"
    SECONDS_EXHAUSTED = "SecondsExhausted"
    SPEND_EXHAUSTED = "SpendExhausted"


PROBE_REASONS_OF_THE_USER: Final = frozenset(
    {
        Reason.UNAUTHORIZED,
        Reason.PERMISSION_DENIED,
        Reason.MODEL_NOT_FOUND,
        Reason.MODEL_RETIRED,
        Reason.MODEL_CANNOT_CHAT,
        Reason.TRANSCRIPTION_MODEL_NOT_FOUND,
        Reason.SPEECH_MODEL_NOT_FOUND,
        Reason.VOICE_NOT_FOUND,
    }
)
"""What a probe can find that only a change of key or configuration mends."""
