"""May this integration have a session, and with which models and voices? A pure decision over what the directory knows."""

from collections.abc import Mapping

from msgspec import Struct

from mistral_voice.broker.directory import IntegrationRecord, PlanRecord
from mistral_voice.contract.lease import Open, Refusal, RefusalReason
from mistral_voice.contract.v1alpha1.plan import ModelKind, StopPolicy

MOST_MODELS = 8


class Entitlement(Struct, frozen=True):
    """What a session may use. `voices` None: any."""

    namespace: str
    integration: str
    integration_uid: str
    plan: str
    chat: frozenset[str]
    transcription: frozenset[str]
    speech: frozenset[str]
    voices: frozenset[str] | None

    @property
    def models(self) -> tuple[str, ...]:
        """All models, each once."""
        return tuple(sorted(self.chat | self.transcription | self.speech))

    def allows_voice(self, voice: str) -> bool:
        """Tell whether the session may use a voice."""
        return self.voices is None or voice in self.voices


def entitlement(
    integration: IntegrationRecord | None, plan: PlanRecord | None, labels: Mapping[str, str], wanted: Open, *, begins: bool
) -> Entitlement | Refusal:
    """Return what the session may use, or why there is none.

    `labels` are those of the integration's namespace: by them the plan's owner has consented or not. With `begins` False the session runs
    already, which a plan that is held lets it do.
    """
    if integration is None or integration.deleting:
        return Refusal(RefusalReason.NOT_MANAGED, "There is no such integration: the gateway's ServiceAccount belongs to none.")
    if integration.mode != "managed":
        return Refusal(RefusalReason.NOT_MANAGED, f"The integration {integration.name} is not managed: its own key is used, directly.")
    if integration.suspend:
        return Refusal(RefusalReason.SUSPENDED, f"The integration {integration.name} is suspended.")
    if plan is None or plan.deleting:
        return Refusal(RefusalReason.PLAN_NOT_FOUND, f"There is no MistralVoicePlan {integration.plan}.", 30)
    specification = plan.specification
    if specification is None:
        return Refusal(RefusalReason.PLAN_NOT_FOUND, f"The MistralVoicePlan {plan.name} can't be used: its spec has faults.", 30)
    if not labels or not specification.namespace_selector.matches(labels):
        message = f"The plan {plan.name} is not offered to the namespace {integration.namespace}; ask the plan's owner."
        return Refusal(RefusalReason.PLAN_NOT_ALLOWED, message)
    stop = specification.stop_policy
    if stop is StopPolicy.HOLD_AND_DRAIN or (begins and stop is StopPolicy.HOLD):
        return Refusal(RefusalReason.PLAN_HELD, f"The plan {plan.name} is held by its owner: it takes no sessions at present.", 60)
    models = specification.models
    for kind, name in (
        (ModelKind.CHAT, wanted.model),
        (ModelKind.TRANSCRIPTION, wanted.transcription_model),
        (ModelKind.SPEECH, wanted.speech_model),
    ):
        if not models.allow(kind, name):
            return Refusal(RefusalReason.MODEL_NOT_IN_PLAN, f"The plan {plan.name} has no {kind.value} model {name}.")
    if not specification.allows_voice(wanted.voice):
        return Refusal(RefusalReason.VOICE_NOT_IN_PLAN, f"The plan {plan.name} has no voice {wanted.voice}.")
    others = [name for name in integration.models if name != wanted.model and models.allow(ModelKind.CHAT, name)]
    return Entitlement(
        namespace=integration.namespace,
        integration=integration.name,
        integration_uid=integration.uid,
        plan=plan.name,
        chat=frozenset((wanted.model, *others[: MOST_MODELS - 3])),
        transcription=frozenset((wanted.transcription_model,)),
        speech=frozenset((wanted.speech_model,)),
        voices=None if specification.voices is None else frozenset(specification.voices),
    )
