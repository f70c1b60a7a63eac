"""The gateway's metrics. All bear the constant labels namespace, integration and mode; none names a session, a caller or a key."""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from mistral_voice.contract.gateway_config import Integration
from mistral_voice.gateway.admission import Reason
from mistral_voice.gateway.limit import Limit
from mistral_voice.gateway.session.commands import EndReason, Happening, Outcome, Stage
from mistral_voice.gateway.session.inputs import Usage
from mistral_voice.gateway.upstream.kind import UpstreamKind
from mistral_voice.mistral.stream.errors import FaultKind, StreamError

PREFIX = "mistral_voice_gateway_"
_LABELS = ("namespace", "integration", "mode")
_KINDS_OF_STAGES = {Stage.TRANSCRIPT: UpstreamKind.TRANSCRIPTION, Stage.FIRST_AUDIO: UpstreamKind.SPEECH}
_LATENCY_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_PAUSE_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
_LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class Models(Struct, frozen=True):
    """The integration's own model for each kind of request. The policy's few others are labels once they are used."""

    chat: str
    transcription: str
    speech: str


_Series = TypeVar("_Series", bound=MetricWrapperBase)


class _ByLabels(Generic[_Series]):
    """Series of one metric by their labels. The likely ones exist from the start; others are looked up once."""

    def __init__(self, metric: _Series, constant: tuple[str, ...], likely: Sequence[tuple[str, ...]]) -> None:
        self._metric = metric
        self._constant = constant
        self._known: dict[tuple[str, ...], _Series] = {}
        for labels in likely:
            self[labels]

    def __getitem__(self, labels: tuple[str, ...]) -> _Series:
        series = self._known.get(labels)
        if series is None:
            series = self._known[labels] = self._metric.labels(*self._constant, *labels)
        return series


class ClientBytes(Collector):
    """Bytes of messages exchanged with clients. A counter of the library's takes a lock each time, fifty times a second."""

    def __init__(self, constant: tuple[str, ...]) -> None:
        self._constant = constant
        self.received = 0
        self.sent = 0

    def collect(self) -> Iterable[Metric]:
        """Return both directions."""
        family = CounterMetricFamily(
            f"{PREFIX}client_bytes", "Bytes of messages exchanged with clients, by direction.", labels=(*_LABELS, "direction")
        )
        family.add_metric((*self._constant, "in"), self.received)
        family.add_metric((*self._constant, "out"), self.sent)
        yield family


class GatewayMetrics:
    """What a gateway counts. Every series exists from the start, so that rates and alerts have a zero to begin with."""

    def __init__(self, registry: CollectorRegistry, integration: Integration, models: Models) -> None:
        self._constant = (integration.namespace, integration.name, integration.mode)
        self._models = models
        self._sessions = self._gauge(registry, "sessions", "Live voice sessions of a pod that goes on; 0 while it drains.")
        self._sessions_draining = self._gauge(registry, "sessions_draining", "Live voice sessions of a pod that drains.")
        self.draining = self._gauge(registry, "draining", "1 while the gateway drains.")
        self.ready = self._gauge(registry, "ready", "1 while the gateway is ready.")
        ended = self._counter(registry, "sessions_ended", "Sessions that ended, by chat model and reason.", "model", "reason")
        self._ended = _ByLabels(ended, self._constant, [(models.chat, reason.value) for reason in EndReason])
        refused = self._counter(registry, "connections_refused", "Connections refused, by reason.", "reason")
        self._refused = {reason: refused.labels(*self._constant, reason.value) for reason in Reason}
        self.client_secrets = self._counter(registry, "client_secrets_issued", "Ephemeral client secrets issued.").labels(*self._constant)
        latency = Histogram(
            f"{PREFIX}turn_latency_seconds",
            "How long each stage of a reply took; the total from the committed turn to the first audio.",
            (*_LABELS, "stage", "model"),
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self._latency = _ByLabels(latency, self._constant, [(stage.value, self._model_of_stage(stage)) for stage in Stage])
        requests = self._counter(registry, "upstream_requests", "Requests to Mistral, by kind and model.", "kind", "model")
        kinds = [(kind.value, self._model_of(kind)) for kind in UpstreamKind]
        self._requests = _ByLabels(requests, self._constant, kinds)
        errors = self._counter(registry, "upstream_errors", "Failed requests, by kind, model and reason.", "kind", "model", "reason")
        self._errors = _ByLabels(errors, self._constant, [(*kind, fault.value) for kind in kinds for fault in FaultKind])
        sockets = self._counter(registry, "speech_sockets", "Speech sockets given to replies, by source.", "source")
        self._speech_sockets = {spare: sockets.labels(*self._constant, "spare" if spare else "new") for spare in (True, False)}
        limits = self._counter(registry, "limits_hit", "How often a limit was hit, by limit.", "limit")
        self._limits = {limit: limits.labels(*self._constant, limit.value) for limit in Limit}
        speculations = self._counter(
            registry, "speculations", "Replies begun before their turn had ended, by model and outcome.", "model", "outcome"
        )
        outcomes = [(models.chat, outcome) for outcome in ("kept", "wasted")]
        self._speculations = _ByLabels(speculations, self._constant, outcomes)
        tokens = self._counter(registry, "speculation_wasted_tokens", "Tokens of wasted speculations, by model and kind.", "model", "kind")
        self._wasted_tokens = _ByLabels(tokens, self._constant, [(models.chat, kind) for kind in ("input", "output")])
        fallbacks = self._counter(
            registry, "semantic_fallbacks", "Turns that the local silence ended instead of Mistral, by reason.", "reason"
        )
        stalled = self._counter(registry, "transcriptions_stalled", "Transcriptions that gave no text and were begun anew.")
        self._counts = {
            Happening.TURN_EVENTS_MISSING: fallbacks.labels(*self._constant, "unsupported"),
            Happening.TURN_UNNOTICED: fallbacks.labels(*self._constant, "unnoticed"),
            Happening.TURN_EVENTS_STALLED: fallbacks.labels(*self._constant, "stalled"),
            Happening.TRANSCRIPTION_STALLED: stalled.labels(*self._constant),
            Happening.TURNS_LIMITED: self._limits[Limit.TURNS],
            Happening.OUT_OF_BAND_LIMITED: self._limits[Limit.OUT_OF_BAND],
            Happening.CALL_ROUNDS_LIMITED: self._limits[Limit.CALL_ROUNDS],
        }
        barge_ins = self._counter(
            registry, "barge_ins", "Voices heard while the assistant spoke, by chat model and what came of it.", "model", "outcome"
        )
        self._barge_ins = _ByLabels(barge_ins, self._constant, [(models.chat, outcome.value) for outcome in Outcome])
        self.client_bytes = ClientBytes(self._constant)
        registry.register(self.client_bytes)
        self.loop_lag = Histogram(
            f"{PREFIX}event_loop_lag_seconds", "How late the event loop woke up.", _LABELS, buckets=_LAG_BUCKETS, registry=registry
        ).labels(*self._constant)
        pauses = Histogram(
            f"{PREFIX}gc_pause_seconds",
            "How long collections of garbage stopped everything, by generation.",
            (*_LABELS, "generation"),
            buckets=_PAUSE_BUCKETS,
            registry=registry,
        )
        self._gc_pauses = [pauses.labels(*self._constant, generation) for generation in ("0", "1", "2")]

    def watch_sessions(self, count: Callable[[], int], is_draining: Callable[[], bool]) -> None:
        """Count live sessions from now on, as they are when somebody asks."""
        self._sessions.set_function(lambda: 0 if is_draining() else count())
        self._sessions_draining.set_function(lambda: count() if is_draining() else 0)

    def gc_paused(self, generation: int, seconds: float) -> None:
        """Observe a collection of garbage."""
        self._gc_pauses[generation].observe(seconds)

    def session_ended(self, reason: EndReason, chat_model: str) -> None:
        """Count the end of a session whose replies this model wrote."""
        self._ended[chat_model, reason.value].inc()

    def refused(self, reason: Reason) -> None:
        """Count a connection that was not let in."""
        self._refused[reason].inc()

    def measured(self, stage: Stage, seconds: float, chat_model: str) -> None:
        """Observe the latency of a turn's stage, in a session whose replies this model writes."""
        self._latency[stage.value, self._model_of_stage(stage, chat_model)].observe(seconds)

    def count(self, happening: Happening) -> None:
        """Count something that happened in a session."""
        self._counts[happening].inc()

    def speculated(self, wasted: Usage | None, chat_model: str) -> None:
        """Count a speculation, and its tokens if it was of no use."""
        self._speculations[chat_model, "kept" if wasted is None else "wasted"].inc()
        if wasted is not None:
            self._wasted_tokens[chat_model, "input"].inc(wasted.input_tokens)
            self._wasted_tokens[chat_model, "output"].inc(wasted.output_tokens)

    def barged_in(self, outcome: Outcome, chat_model: str) -> None:
        """Count a voice over the assistant's."""
        self._barge_ins[chat_model, outcome.value].inc()

    def limit_hit(self, limit: Limit) -> None:
        """Count a limit that was hit."""
        self._limits[limit].inc()

    def requested(self, kind: UpstreamKind, model: str = "") -> None:
        """Count a request to Mistral; no model: the one that the integration has for this kind."""
        self._requests[kind, model or self._model_of(kind)].inc()

    def failed(self, kind: UpstreamKind, error: StreamError, model: str = "") -> None:
        """Count a failed request to Mistral."""
        self._errors[kind, model or self._model_of(kind), error.kind.value].inc()

    def speech_socket(self, *, spare: bool) -> None:
        """Count a speech socket that a reply got: a spare that stood open, or a new one."""
        self._speech_sockets[spare].inc()

    def _model_of(self, kind: UpstreamKind) -> str:
        match kind:
            case UpstreamKind.CHAT:
                return self._models.chat
            case UpstreamKind.TRANSCRIPTION:
                return self._models.transcription
            case UpstreamKind.SPEECH:
                return self._models.speech

    def _model_of_stage(self, stage: Stage, chat_model: str = "") -> str:
        kind = _KINDS_OF_STAGES.get(stage, UpstreamKind.CHAT)
        return chat_model if kind is UpstreamKind.CHAT and chat_model else self._model_of(kind)

    def _gauge(self, registry: CollectorRegistry, name: str, help_text: str) -> Gauge:
        return Gauge(f"{PREFIX}{name}", help_text, _LABELS, registry=registry).labels(*self._constant)

    @staticmethod
    def _counter(registry: CollectorRegistry, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}{name}", help_text, (*_LABELS, *labels), registry=registry)
