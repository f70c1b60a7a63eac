"""The connection to Mistral in ContractSpec's words."""

from mistral_voice.contract.vocabulary import ConnectionStatus
from mistral_voice.controller.health.thresholds import Verdict
from mistral_voice.controller.input import Input, UnresolvedCredential
from mistral_voice.controller.managed.health import platform_health


def connection_status(known: Input) -> ConnectionStatus:
    """Return the state of the connection: `disconnected` without a usable key, `unknown` before the first check that tells."""
    if known.spec is None:
        return _carried(known)
    if known.managed:
        return platform_health(known.platform).status
    if isinstance(known.credential, UnresolvedCredential):
        return ConnectionStatus.DISCONNECTED
    match known.health.verdict:
        case Verdict.HEALTHY:
            return ConnectionStatus.CONNECTED
        case Verdict.UNHEALTHY:
            return ConnectionStatus.ERROR
        case Verdict.UNKNOWN:
            return ConnectionStatus.UNKNOWN


def _carried(known: Input) -> ConnectionStatus:
    try:
        return ConnectionStatus(str(known.previous.connection.get("status")))
    except ValueError:
        return ConnectionStatus.UNKNOWN
