"""Managed mode: the plan that is claimed, and what the platform behind it can do."""

from collections.abc import Iterator

from mistral_voice.contract.v1alpha1.plan import ModelKind
from mistral_voice.contract.v1alpha1.spec import Policy
from mistral_voice.contract.vocabulary import ConnectionStatus
from mistral_voice.controller.check.finding import Finding, error, invalid, warning
from mistral_voice.controller.input import Input
from mistral_voice.controller.managed.health import platform_health
from mistral_voice.controller.reasons import ConditionType, Reason

_PLAN = "spec.planRef.name"
_NARROW = "Remove them, or ask the platform team to add them to the plan."
_LONGEST_LIST = 12


def plan_granted(known: Input) -> Finding | None:
    """Find a plan that does not exist, can't be read, or is not offered to this namespace."""
    if known.platform is None or known.granted_plan is not None or known.valid_spec.plan_ref is None:
        return None
    name, plan = known.valid_spec.plan_ref.name, known.platform.plan
    if plan is None:
        return invalid(
            Reason.PLAN_NOT_FOUND,
            _PLAN,
            f"There is no MistralVoicePlan {name!r}.",
            "Name a plan that the platform team offers, or ask them for this one.",
        )
    if plan.spec is None:
        return invalid(
            Reason.PLAN_INVALID,
            _PLAN,
            f"The plan {name!r} can't be used: {plan.fault}",
            "Tell the platform team: this is theirs to mend.",
        )
    return invalid(
        Reason.PLAN_NOT_ALLOWED,
        _PLAN,
        f"The plan {name!r} is not offered to the namespace {known.namespace!r}.",
        "Ask the platform team to offer it to this namespace (spec.namespaceSelector of the plan), or name another plan.",
    )


def model_in_plan(known: Input) -> Finding | None:
    """Find a chat model that the plan does not offer."""
    plan, model = known.granted_plan, known.valid_spec.config.model
    if plan is None or plan.models.allow(ModelKind.CHAT, model):
        return None
    return invalid(
        Reason.MODEL_NOT_IN_PLAN,
        "spec.config.model",
        f"The plan does not offer the model {model!r}. Its chat models: {_listed(plan.models.chat)}.",
        "Name one of these, or ask the platform team to add it to the plan.",
    )


def voice_in_plan(known: Input) -> Finding | None:
    """Find a voice that the plan does not offer."""
    plan = known.granted_plan
    if plan is None or plan.voices is None or plan.allows_voice(known.voice):
        return None
    return invalid(
        Reason.VOICE_NOT_IN_PLAN,
        "spec.config.defaultVoice",
        f"The plan does not offer the voice {known.voice!r}. Its voices: {_listed(plan.voices)}.",
        "Name one of these, or ask the platform team to add it to the plan.",
    )


def platform_serves(known: Input) -> Finding | None:
    """Find what keeps the platform from admitting sessions: a plan that is held, a pool that is missing or has no key in use."""
    health = platform_health(known.platform)
    if known.granted_plan is None or health.status not in (ConnectionStatus.ERROR, ConnectionStatus.DISCONNECTED):
        return None
    return error(ConditionType.HEALTHY, health.reason, _PLAN, health.sentence, health.suggestion)


def policy_in_plan(known: Input) -> Iterator[Finding]:
    """Yield warnings about models and voices that the policy allows and the plan does not offer: such sessions are refused."""
    plan = known.granted_plan
    if plan is None:
        return
    policy = known.valid_spec.policy or Policy()
    models = [model for model in policy.allowed_models or () if not plan.models.allow(ModelKind.CHAT, model)]
    if models:
        message = f"The plan does not offer the models {_listed(models)}: a session that asks for one is refused."
        yield warning("AllowedModelNotInPlan", "spec.policy.allowedModels", message, _NARROW)
    allowed = (known.operator.default_voice if voice == "default" else voice for voice in policy.allowed_voices or ())
    voices = [voice for voice in allowed if not plan.allows_voice(voice)]
    if voices:
        message = f"The plan does not offer the voices {_listed(voices)}: a session that asks for one is refused."
        yield warning("AllowedVoiceNotInPlan", "spec.policy.allowedVoices", message, _NARROW)


def _listed(words: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(words) - _LONGEST_LIST} more" if len(words) > _LONGEST_LIST else ""
    return f"{', '.join(words[:_LONGEST_LIST])}{more}"
