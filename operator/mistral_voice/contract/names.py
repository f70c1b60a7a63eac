"""Names that several processes share: API group, labels, annotations, children, mount paths and ports."""

from typing import Final

GROUP: Final = "voice.contractspec.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "MistralVoiceIntegration"
PLURAL: Final = "mistralvoiceintegrations"
SINGULAR: Final = "mistralvoiceintegration"
SHORT_NAME: Final = "mvi"
PLAN_KIND: Final = "MistralVoicePlan"
PLAN_PLURAL: Final = "mistralvoiceplans"
POOL_KIND: Final = "MistralKeyPool"
POOL_PLURAL: Final = "mistralkeypools"

FIELD_MANAGER: Final = "mistral-voice-operator"
"""The one field manager of everything the operator applies."""

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
NAME_LABEL: Final = "app.kubernetes.io/name"
INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
PART_OF_LABEL: Final = "app.kubernetes.io/part-of"
INTEGRATION_LABEL: Final = f"{GROUP}/integration"
"""On every child: the name of its integration."""
INTEGRATION_UID_LABEL: Final = f"{GROUP}/integration-uid"
"""On every child: the UID of its integration, by which a child whose owner reference was stripped is known again."""
MODE_LABEL: Final = f"{GROUP}/mode"

GATEWAY_NAME: Final = "mistral-voice-gateway"
PART_OF: Final = "mistral-voice"

DESIRED_HASH_ANNOTATION: Final = f"{GROUP}/desired-hash"
"""On every child: the hash of the object as the operator last wanted it."""
CONFIG_HASH_ANNOTATION: Final = f"{GROUP}/config-hash"
"""On the pod template: a hash of the gateway's configuration, so that a change rolls out."""
ROTATE_TOKEN_ANNOTATION: Final = f"{GROUP}/rotate-token"
"""On an integration: a value that differs from the token Secret's own asks for a new client token."""

MAX_NAME_LENGTH: Final = 40

CONFIG_FILE: Final = "/etc/mistral-voice/config/gateway.json"
CA_BUNDLE_FILE: Final = "/etc/mistral-voice/config/ca.crt"
CREDENTIAL_DIRECTORY: Final = "/etc/mistral-voice/credential"
CREDENTIAL_FILE: Final = f"{CREDENTIAL_DIRECTORY}/apiKey"
CLIENT_TOKEN_DIRECTORY: Final = "/etc/mistral-voice/client-token"  # noqa: S105 - a path
TLS_DIRECTORY: Final = "/etc/mistral-voice/tls"

CLIENT_PORT: Final = 8080
METRICS_PORT: Final = 9090


def child_name(integration: str) -> str:
    """Return the name that all children of an integration bear, save the token Secret."""
    return f"{integration}-voice"


def token_secret_name(integration: str) -> str:
    """Return the name of the Secret that holds an integration's client token."""
    return f"{integration}-voice-token"
