"""Reading Secrets: `get` and nothing else, and facts instead of values wherever a fact is enough."""

import base64
import binascii
import secrets
from collections.abc import Mapping

from mistral_voice.contract import names
from mistral_voice.contract.secret import Secret
from mistral_voice.contract.vocabulary import SecretErrorCode
from mistral_voice.controller.build.token_secret import PREVIOUS_TOKEN_KEY, ROTATED_AT_ANNOTATION, TOKEN_KEY
from mistral_voice.controller.input import TokenState
from mistral_voice.controller.previous import parse_time
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import ApiError, Forbidden, NotFound, TooManyRequests, Unauthorized
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.ownership import owner_uid_of
from mistral_voice.kube.resources import SECRET

_TOKEN_BYTES = 32


class SecretReader:
    """Reads single Secrets of tenants."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, namespace: str, name: str) -> KubeObject | SecretErrorCode:
        """Return a Secret, or ContractSpec's word for why it can't be had. An API server in trouble, or that has enough of us, raises."""
        try:
            return await self._client.get(SECRET, namespace, name)
        except NotFound:
            return SecretErrorCode.NOT_FOUND
        except Forbidden:
            return SecretErrorCode.FORBIDDEN
        except (Unauthorized, TooManyRequests):
            raise
        except ApiError as error:
            if error.status >= 500:
                raise
            return SecretErrorCode.UNKNOWN

    async def exists(self, namespace: str, name: str) -> bool:
        """Tell whether a Secret exists; its values don't even reach this process. One that may not be read counts as present."""
        try:
            await self._client.get(SECRET, namespace, name, metadata_only=True)
        except NotFound:
            return False
        except Forbidden:
            return True
        return True


def token_state(secret: KubeObject, owner_uid: str) -> TokenState:
    """Return what is to be known of a client-token Secret."""
    metadata = secret["metadata"]
    data = secret.get("data") or {}
    annotations = metadata.get("annotations") or {}
    return TokenState(
        ours=owner_uid_of(metadata, names.INTEGRATION_UID_LABEL) == owner_uid,
        has_token=bool(secret_value(data, TOKEN_KEY).strip()),
        has_previous_token=bool(secret_value(data, PREVIOUS_TOKEN_KEY).strip()),
        rotation_mark=annotations.get(names.ROTATE_TOKEN_ANNOTATION),
        rotated_at=parse_time(annotations.get(ROTATED_AT_ANNOTATION)),
    )


def secret_value(data: Mapping[str, str], key: str) -> bytes:
    """Return one value of a Secret's data, empty if it is absent or not base64."""
    try:
        return base64.b64decode(data.get(key) or "")
    except (binascii.Error, ValueError):
        return b""


def new_token() -> Secret:
    """Return a new random client token of 256 bits, in URL-safe characters."""
    return Secret(secrets.token_urlsafe(_TOKEN_BYTES))
