"""What a check returns, and what a check is."""

from collections.abc import Callable
from dataclasses import dataclass

from mistral_voice.contract.vocabulary import Severity, ValidationIssue
from mistral_voice.controller.input import Input
from mistral_voice.controller.reasons import ConditionType, Reason

_LONGEST_PATH = 256
_LONGEST_SENTENCE = 1024


@dataclass(frozen=True)
class Finding:
    """An issue for `status.issues`, and the condition that it makes false, with the reason; most warnings make none false."""

    issue: ValidationIssue
    condition: ConditionType | None = None
    reason: Reason | None = None

    @property
    def invalidates(self) -> bool:
        """Tell whether the configuration can't be carried out because of it."""
        return self.condition is ConditionType.CONFIG_VALID


Check = Callable[[Input], Finding | None]


def invalid(reason: Reason, path: str, message: str, suggestion: str, code: str | None = None) -> Finding:
    """Return a finding because of which the configuration can't be carried out."""
    return Finding(_issue(code or reason.value, Severity.ERROR, path, message, suggestion), ConditionType.CONFIG_VALID, reason)


def error(condition: ConditionType, reason: Reason, path: str, message: str, suggestion: str) -> Finding:
    """Return a finding that makes another condition false."""
    return Finding(_issue(reason.value, Severity.ERROR, path, message, suggestion), condition, reason)


def grave(code: str, path: str, message: str, suggestion: str) -> Finding:
    """Return an error that a condition tells already."""
    return Finding(_issue(code, Severity.ERROR, path, message, suggestion))


def warning(code: str, path: str, message: str, suggestion: str) -> Finding:
    """Return a finding that deserves attention and stops nothing."""
    return Finding(_issue(code, Severity.WARNING, path, message, suggestion))


def info(code: str, path: str, message: str, suggestion: str = "") -> Finding:
    """Return a finding that is good to know."""
    return Finding(_issue(code, Severity.INFO, path, message, suggestion))


def _issue(code: str, severity: Severity, path: str, message: str, suggestion: str) -> ValidationIssue:
    return ValidationIssue(code, severity, bounded(path, _LONGEST_PATH), bounded(message), bounded(suggestion))


def bounded(text: str, longest: int = _LONGEST_SENTENCE) -> str:
    """Return the text, cut to the length that status takes."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
