"""What the ledger is asked to do."""

from dataclasses import dataclass

from mistral_voice.contract.lease import LeaseReport, LeaseRequest


@dataclass(frozen=True, slots=True)
class Admit:
    """May this session begin, or go on under a new epoch?"""

    request: LeaseRequest


@dataclass(frozen=True, slots=True)
class Renew:
    """So much was used; may the session go on?"""

    report: LeaseReport


@dataclass(frozen=True, slots=True)
class Release:
    """So much was used, and the epoch is over."""

    report: LeaseReport


@dataclass(frozen=True, slots=True)
class Expire:
    """A lease ran out, and nobody told the last of it."""

    session: str
    epoch: int


Operation = Admit | Renew | Release | Expire


def epoch_of(operation: Operation) -> tuple[str, int]:
    """Return the session and epoch that an operation is about."""
    match operation:
        case Admit(request):
            return request.session, request.epoch
        case Renew(report) | Release(report):
            return report.session, report.epoch
        case Expire(session, epoch):
            return session, epoch
