"""The ConfigMap with the gateway's configuration and, where the endpoint has one, its certificate authorities."""

from pathlib import PurePosixPath

from mistral_voice.contract import gateway_config, names
from mistral_voice.contract.gateway_config import SPEECH_MODEL, TRANSCRIPTION_MODEL
from mistral_voice.contract.v1alpha1.plan import ModelKind
from mistral_voice.contract.v1alpha1.spec import Policy
from mistral_voice.controller.build.common import Child, child, drain_timeout_seconds
from mistral_voice.controller.input import Input
from mistral_voice.kube.resources import CONFIG_MAP

CONFIG_KEY = PurePosixPath(names.CONFIG_FILE).name
CA_BUNDLE_KEY = PurePosixPath(names.CA_BUNDLE_FILE).name


def config_map(known: Input) -> Child:
    """Return the ConfigMap. It holds no secret: keys and tokens reach the gateway by mounts of their Secrets."""
    return child(CONFIG_MAP, known, data=config_data(known))


def config_data(known: Input) -> dict[str, str]:
    """Return the files of the gateway's configuration directory."""
    endpoint = known.endpoint
    data = {CONFIG_KEY: gateway_config.encode(gateway_configuration(known))}
    return data if endpoint is None or endpoint.ca_bundle is None else {**data, CA_BUNDLE_KEY: endpoint.ca_bundle}


def gateway_configuration(known: Input) -> gateway_config.GatewayConfig:
    """Return what the gateway is told."""
    spec, endpoint = known.valid_spec, known.endpoint
    if endpoint is None:
        raise ValueError(f"{known.namespace}/{known.name} names no endpoint on the list")
    return gateway_config.GatewayConfig(
        integration=gateway_config.Integration(known.namespace, known.name, spec.mode.value),
        upstream=gateway_config.Upstream(
            base_url=endpoint.url,
            credential_file=names.CREDENTIAL_FILE,
            ca_bundle_file=None if endpoint.ca_bundle is None else names.CA_BUNDLE_FILE,
            **_models_of_plan(known),
        ),
        session=gateway_config.SessionDefaults(
            model=spec.config.model,
            voice=known.voice,
            turn_detection=spec.config.turn_detection.value,
            max_session_duration_seconds=spec.config.max_session_duration_seconds,
        ),
        limits=gateway_config.Limits(
            max_sessions=spec.gateway.max_sessions_per_pod,
            drain_timeout_seconds=drain_timeout_seconds(known),
            max_message_bytes=known.operator.gateway.max_message_bytes,
            node_grace_seconds=known.operator.gateway.node_grace_seconds,
        ),
        client_token_directory=names.CLIENT_TOKEN_DIRECTORY,
        policy=_policy(spec.policy or Policy(), known.operator.default_voice),
        tracing_endpoint=known.operator.gateway.tracing.endpoint or None,
        tls_directory=None if spec.gateway.tls is None else names.TLS_DIRECTORY,
    )


def _models_of_plan(known: Input) -> dict[str, str]:
    # The plan says with which models its sessions hear and speak; the gateway's own stand where it offers them.
    plan = known.granted_plan
    if plan is None:
        return {}
    wanted = {"transcription_model": (ModelKind.TRANSCRIPTION, TRANSCRIPTION_MODEL), "speech_model": (ModelKind.SPEECH, SPEECH_MODEL)}
    return {field: own if plan.models.allow(kind, own) else plan.models.of_kind(kind)[0] for field, (kind, own) in wanted.items()}


def _policy(policy: Policy, default_voice: str) -> gateway_config.Policy:
    return gateway_config.Policy(
        allowed_models=policy.allowed_models or (),
        allowed_voices=tuple(default_voice if voice == "default" else voice for voice in policy.allowed_voices or ()),
        instructions=policy.instructions or "",
        allowed_origins=policy.allowed_origins or (),
        playground=policy.playground,
        resume_after_false_interruption=policy.resume_after_false_interruption,
    )
