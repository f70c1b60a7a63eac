"""What a health check looks at."""

from dataclasses import dataclass
from typing import Final

from mistral_voice.contract.gateway_config import Upstream
from mistral_voice.controller.input import Input

_GATEWAY: Final = Upstream(base_url="", credential_file="")
"""The gateway's own defaults: the check looks at the models that it will use."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """The endpoint, and what has to exist there. `voice` is an id or slug; missing `allowed_models` only deserve a warning."""

    base_url: str
    model: str
    voice: str
    ca_bundle: str | None = None
    transcription_model: str = _GATEWAY.transcription_model
    speech_model: str = _GATEWAY.speech_model
    allowed_models: tuple[str, ...] = ()


def probe_target(known: Input) -> ProbeTarget | None:
    """Return what to look at for an integration, or None if there is nothing to ask: no valid spec, mode managed, an unknown endpoint."""
    if known.spec is None or known.managed:
        return None
    endpoint = known.endpoint
    if endpoint is None:
        return None
    policy = known.spec.policy
    return ProbeTarget(
        base_url=endpoint.url,
        model=known.spec.config.model,
        voice=known.voice,
        ca_bundle=endpoint.ca_bundle,
        allowed_models=tuple(sorted(set((policy.allowed_models if policy is not None else None) or ()))),
    )
