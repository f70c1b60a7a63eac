"""Where a request that has lost its way should have gone."""

from msgspec import Struct

REALTIME = "/v1/realtime"
CLIENT_SECRETS = "/v1/realtime/client_secrets"
_SECRET = f"Ask for a client secret by POST {CLIENT_SECRETS}, with the integration's token."
_NO_WEBRTC = f"WebRTC and SIP are not spoken here: connect by WebSocket to {REALTIME}."
_WEBSOCKET = f"Voice sessions are at {REALTIME}, over WebSocket."
_FORMER = {
    f"{REALTIME}/sessions": f"This is a path of OpenAI's beta. {_SECRET}",
    f"{REALTIME}/transcription_sessions": f"This is a path of OpenAI's beta. {_SECRET} Its `session.type` may be transcription.",
    f"{REALTIME}/calls": _NO_WEBRTC,
}


class Signpost(Struct, frozen=True):
    """What is answered: a status, the code of the error, a sentence, and the method that the path takes, None if there is no such path."""

    status: int
    code: str
    message: str
    allow: str | None = None


def signpost(method: str, path: str) -> Signpost:
    """Return the answer to a request for which there is nothing at this path."""
    if path == CLIENT_SECRETS:
        return Signpost(405, "method_not_allowed", f"{_method(method)} gives nothing here. {_SECRET}", "POST")
    if path == REALTIME:
        return Signpost(405, "method_not_allowed", f"{_method(method)} gives nothing here. {_NO_WEBRTC}", "GET")
    known = path.rstrip("/")
    if known in (REALTIME, CLIENT_SECRETS):
        return Signpost(404, "not_found", f"The path is {known}, without a slash at its end.")
    former = next((sentence for start, sentence in _FORMER.items() if f"{known}/".startswith(f"{start}/")), None)
    return Signpost(404, "not_found", former or f"There is nothing here. {_WEBSOCKET}")


def _method(name: str) -> str:
    return name[:10] if name.isascii() and name.isalpha() else "This method"
