"""The operator's settings: one YAML file, which the chart renders, and a few flags."""

import argparse
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from mistral_voice.kube.lease import LeaseTiming


class SettingsError(ValueError):
    """The settings can't be used; the text says where and why."""


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", use_attribute_docstrings=True)


Network = IPv4Network | IPv6Network

PRIVATE_NETWORKS = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
"""Private, carrier-grade, link-local and unique-local ranges: gateways don't reach them unless an endpoint says so."""


class EgressRule(_Model):
    """Where an endpoint leads inside the cluster's networks. No `ports` means the one of the endpoint's URL."""

    cidr: Network
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = ()


def certificates(pem: str) -> str:
    """Return PEM text that holds certificates. Raises ValueError if it doesn't."""
    try:
        ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, TypeError, ValueError):
        raise ValueError("caBundle holds no certificates: it is PEM, in ASCII characters only, comments included") from None
    return pem


class Endpoint(_Model):
    """A way to Mistral that the administrator allows. `ca_bundle` is PEM text that replaces the system's authorities."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    url: str
    ca_bundle: str | None = None
    egress: tuple[EgressRule, ...] = ()

    @field_validator("url")
    @classmethod
    def _https_without_path(cls, value: str) -> str:
        return _https_host(value, "an endpoint's url")

    @field_validator("ca_bundle")
    @classmethod
    def _certificates(cls, value: str | None) -> str | None:
        return None if value is None else certificates(value)


def _https_host(value: str, what: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise ValueError(f"{what} is https://HOST[:PORT], without path, query or credentials")
    return value.rstrip("/")


class BrokerSettings(_Model):
    """Managed mode's way to Mistral. `pod_labels` in `namespace` select the broker's pods, which gateways reach on `pod_port`.

    `ca_bundle_file` holds the authorities of its certificate as PEM and is read again when it changes; the system's if unset.
    """

    url: str
    ca_bundle_file: Path | None = None
    namespace: Annotated[str, Field(min_length=1, max_length=63)]
    pod_labels: Annotated[dict[str, str], Field(min_length=1)]
    pod_port: Annotated[int, Field(ge=1, le=65535)] = 8443

    @field_validator("url")
    @classmethod
    def _https_without_path(cls, value: str) -> str:
        return _https_host(value, "the broker's url")


class ControlPlaneSettings(_Model):
    """Where the operator asks what managed integrations have used, and the file of its token, which is renewed in place.

    The certificate's authorities are the broker's.
    """

    url: str
    token_file: Path

    @field_validator("url")
    @classmethod
    def _https_without_path(cls, value: str) -> str:
        return _https_host(value, "the control plane's url")


class ManagedModeSettings(_Model):
    """The platform's side of managed mode, where it is installed. Without a control plane to ask, `status.usage` stays empty."""

    broker: BrokerSettings
    control_plane: ControlPlaneSettings | None = None


class NetworkPolicySettings(_Model):
    """What the gateways' NetworkPolicy says. `monitoring_namespace_selector` is a label selector of namespaces that may scrape metrics."""

    enabled: bool = True
    blocked_cidrs: tuple[Network, ...] = Field(default=PRIVATE_NETWORKS, validate_default=True)
    monitoring_namespace_selector: dict[str, Any] = Field(default_factory=dict)

    def blocked(self, version: int) -> Sequence[str]:
        """Return the blocked ranges of one IP version, in their order as text."""
        return self._blocked[version]

    @cached_property
    def _blocked(self) -> Mapping[int, Sequence[str]]:
        # Every visit asks for them, and an address's text takes its time.
        return {version: sorted(str(network) for network in self.blocked_cidrs if network.version == version) for version in (4, 6)}


class LeaderElection(_Model):
    """The lease by which replicas agree on a leader; durations in seconds."""

    enabled: bool = True
    lease_name: str = "mistral-voice-operator"
    lease_duration_seconds: Annotated[int, Field(ge=1)] = 15
    renew_deadline_seconds: Annotated[float, Field(gt=0)] = 10
    retry_period_seconds: Annotated[float, Field(gt=0)] = 2

    @model_validator(mode="after")
    def _safe(self) -> Self:
        self.timing()
        return self

    def timing(self) -> LeaseTiming:
        """Return the same for the elector. Raises ValueError if two could lead at the same time."""
        return LeaseTiming(self.lease_duration_seconds, self.renew_deadline_seconds, self.retry_period_seconds)


class ProbeSettings(_Model):
    """Health checks: how many may run at the same time at one endpoint."""

    max_concurrent: Annotated[int, Field(ge=1, le=1000)] = 20


class TracingSettings(_Model):
    """Where gateways send their traces: the base URL of an OpenTelemetry collector's OTLP over HTTP; none if empty."""

    endpoint: str = ""
    egress: tuple[EgressRule, ...] = ()

    @field_validator("endpoint")
    @classmethod
    def _http_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment):
            raise ValueError("the tracing endpoint is http://HOST:PORT or https://HOST:PORT, without credentials or a query")
        return value.rstrip("/")


class GatewaySettings(_Model):
    """What all gateways share. `node_grace_seconds`: how long nodes let a pod live after SIGTERM, if that may be less than it asks for."""

    max_message_bytes: Annotated[int, Field(ge=65_536, le=16_777_216)] = 1_048_576
    node_grace_seconds: Annotated[int, Field(ge=5)] | None = None
    tracing: TracingSettings = TracingSettings()


class OperatorFile(_Model):
    """The file `operator.yaml`."""

    image: Annotated[str, Field(min_length=1)]
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    default_voice: Annotated[str, Field(min_length=1, max_length=128)] = "voice_478"
    endpoints: tuple[Endpoint, ...] = (Endpoint(name="default", url="https://api.mistral.ai"),)
    cluster_domain: str = "cluster.local"
    watch_namespaces: tuple[str, ...] = ()
    managed_mode: ManagedModeSettings | None = None
    gateway: GatewaySettings = GatewaySettings()
    network_policy: NetworkPolicySettings = NetworkPolicySettings()
    rollout_pace: Annotated[int, Field(ge=1)] = 10
    leader_election: LeaderElection = LeaderElection()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    probe: ProbeSettings = ProbeSettings()
    workers: Annotated[int, Field(ge=1, le=200)] = 20

    @field_validator("endpoints")
    @classmethod
    def _names_differ(cls, value: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        names = [endpoint.name for endpoint in value]
        if len(set(names)) != len(names):
            raise ValueError("two endpoints have the same name")
        return value


@dataclass(frozen=True)
class Settings:
    """All that the operator process is told."""

    file: OperatorFile
    namespace: str
    identity: str
    host: str
    port: int
    kubeconfig: Path | None


def parse(argv: Sequence[str]) -> Settings:
    """Read flags and file. Raises SettingsError; exits with 2 on wrong flags, as argparse does."""
    environment = os.environ
    parser = argparse.ArgumentParser(prog="mistral-voice operator", description="Reconcile MistralVoiceIntegrations.")
    parser.add_argument("--config", type=Path, default=environment.get("MISTRAL_VOICE_CONFIG"), help="operator.yaml")
    parser.add_argument("--host", default=environment.get("MISTRAL_VOICE_HOST", "0.0.0.0"))
    parser.add_argument("--port", type=int, default=int(environment.get("MISTRAL_VOICE_PORT", "9090")), help="metrics and health")
    parser.add_argument("--namespace", default=environment.get("POD_NAMESPACE", "default"), help="where the lease lies")
    parser.add_argument("--identity", default=environment.get("POD_NAME", f"{os.uname().nodename}-{os.getpid()}"), help="name in the lease")
    parser.add_argument("--kubeconfig", type=Path, default=None, help="instead of the pod's own access")
    options = parser.parse_args(argv)
    if options.config is None:
        raise SettingsError("No configuration: give --config FILE or set MISTRAL_VOICE_CONFIG.")
    return Settings(read_file(Path(options.config)), options.namespace, options.identity, options.host, options.port, options.kubeconfig)


def read_file(path: Path) -> OperatorFile:
    """Return the settings in a YAML file. Raises SettingsError that names the file and each fault's place."""
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    try:
        return OperatorFile.model_validate(content or {})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}" for fault in error.errors())
        raise SettingsError(f"{path}: {faults}.") from error
