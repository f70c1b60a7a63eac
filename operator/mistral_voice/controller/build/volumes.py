"""The mounts of a gateway pod. Directories, never `subPath`: the kubelet renews directories when a Secret changes."""

from pathlib import PurePosixPath
from typing import Any

from mistral_voice.contract import names
from mistral_voice.contract.lease import BROKER_AUDIENCE
from mistral_voice.controller.build.common import token_secret_name
from mistral_voice.controller.build.token_secret import PREVIOUS_TOKEN_KEY, TOKEN_KEY
from mistral_voice.controller.input import Input

_CREDENTIAL_KEY = PurePosixPath(names.CREDENTIAL_FILE).name
_CONFIG_DIRECTORY = str(PurePosixPath(names.CONFIG_FILE).parent)
_OWNER_AND_GROUP = 0o440
"""Read by the pod's own group alone, which `fsGroup` sets."""
_BROKER_TOKEN_SECONDS = 600
"""The shortest life that Kubernetes gives a token; the kubelet renews it after four fifths of it."""
_BROKER_TOKEN = {"serviceAccountToken": {"audience": BROKER_AUDIENCE, "expirationSeconds": _BROKER_TOKEN_SECONDS, "path": _CREDENTIAL_KEY}}
"""managed: what the gateway shows to the broker, and to nobody else. It lies where a key would lie."""


def volumes(known: Input) -> list[dict[str, Any]]:
    """Return the pod's volumes."""
    spec = known.valid_spec
    found: list[dict[str, Any]] = [
        {"name": "config", "configMap": {"name": names.child_name(known.name), "defaultMode": 0o444}},
        {"name": "client-token", "projected": {"defaultMode": _OWNER_AND_GROUP, "sources": _token_sources(token_secret_name(known))}},
    ]
    if spec.secret_ref is not None:
        # Not optional: a Secret that goes away must not empty the directory under a running gateway.
        secret = _secret(spec.secret_ref.name, [{"key": spec.secret_ref.key, "path": _CREDENTIAL_KEY}])
        found.append({"name": "credential", "secret": secret})
    if known.managed:
        found.append({"name": "credential", "projected": {"defaultMode": _OWNER_AND_GROUP, "sources": [_BROKER_TOKEN]}})
    if spec.gateway.tls is not None:
        pair = [{"key": key, "path": key} for key in ("tls.crt", "tls.key")]
        found.append({"name": "tls", "secret": _secret(spec.gateway.tls.secret_ref.name, pair)})
    return found


def volume_mounts(known: Input) -> list[dict[str, Any]]:
    """Return the container's mounts, all read-only."""
    paths = {
        "config": _CONFIG_DIRECTORY,
        "client-token": names.CLIENT_TOKEN_DIRECTORY,
        "credential": names.CREDENTIAL_DIRECTORY,
        "tls": names.TLS_DIRECTORY,
    }
    return [{"name": volume["name"], "mountPath": paths[volume["name"]], "readOnly": True} for volume in volumes(known)]


def _secret(name: str, items: list[dict[str, str]]) -> dict[str, Any]:
    return {"secretName": name, "defaultMode": _OWNER_AND_GROUP, "items": items}


def _token_sources(name: str) -> list[dict[str, Any]]:
    # The former token is there during a rotation only; a projection of its own lets it come and go.
    return [
        {"secret": {"name": name, "items": [{"key": TOKEN_KEY, "path": TOKEN_KEY}]}},
        {"secret": {"name": name, "items": [{"key": PREVIOUS_TOKEN_KEY, "path": PREVIOUS_TOKEN_KEY}], "optional": True}},
    ]
