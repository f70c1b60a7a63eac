"""What gateways send to Mistral, read strictly and written anew: nothing passes that was not understood and counted.

Two readers of JSON may differ over a text with a name twice, so what goes on is never the text that came but what was read of it.
"""

import math
from typing import Any, Final

import msgspec

from mistral_voice.broker.chat_body import read_chat
from mistral_voice.broker.entitlement import Entitlement
from mistral_voice.broker.metering import AudioFormat, AudioMeter, ChatMeter, Meter, SpeechMeter
from mistral_voice.broker.refused_call import malformed, not_in_plan
from mistral_voice.contract.lease import Unit

_SPEECH_FIELDS: Final = frozenset(("model", "input", "voice_id", "response_format", "stream"))
_TRANSCRIPTION_SETTINGS: Final = frozenset(
    ("audio_format", "target_streaming_delay_ms", "diarize", "context_bias", "language", "turn_detection")
)
_SPEECH_SETTINGS: Final = frozenset(("voice", "streaming_mode", "response_format", "expressiveness"))
_APPEND: Final = b'{"type":"input_audio.append","audio":"'
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def chat_request(body: bytes, entitled: Entitlement, meter: Meter) -> tuple[bytes, str, ChatMeter]:
    """Return the body as it goes on, its model, and the meter of its answer. Raises RefusedCallError."""
    try:
        request = read_chat(body)
        written, estimate = _encode(request), request.estimated_tokens()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(f"The body is no request for a completion: {error}"[:200]) from None
    if request.model not in entitled.chat:
        raise not_in_plan("chat model", request.model)
    if not request.stream:
        raise malformed("Completions are streamed here.")
    return written, request.model, ChatMeter(meter, request.model, estimate)


def speech_request(body: bytes, entitled: Entitlement, meter: Meter) -> tuple[bytes, str, SpeechMeter]:
    """Return the body as it goes on, its model, and the meter of what it has spoken. Raises RefusedCallError."""
    request = _fields(body, _SPEECH_FIELDS)
    model = _text(request, "model")
    if model not in entitled.speech:
        raise not_in_plan("speech model", model)
    _check_voice(_text(request, "voice_id"), entitled)
    return _encode(request), model, SpeechMeter(meter, model, len(_text(request, "input")))


class TranscriptionMessages:
    """The gateway's messages on a transcription's socket."""

    def __init__(self, meter: Meter, model: str) -> None:
        self._audio = AudioMeter(meter, model)

    def passed(self, frame: bytes) -> bytes:
        """Count a message and return it as it goes on. Raises RefusedCallError."""
        if frame.startswith(_APPEND) and frame.endswith(b'"}'):
            audio = frame[len(_APPEND) : -2]
            if not audio.translate(None, _BASE64):
                self._audio.append(_decoded_size(audio))
                return frame
        message = _message(frame)
        match message.get("type"):
            case "input_audio.append":
                text = _text(message, "audio")
                self._audio.append(math.ceil(len(text) * 3 / 4))
                return _encode({"type": "input_audio.append", "audio": text})
            case "session.update":
                return _encode({"type": "session.update", "session": self._settings(message.get("session"))})
            case "input_audio.flush" | "input_audio.end" as plain:
                return _encode({"type": plain})
        raise malformed("A transcription has no such message.")

    def _settings(self, session: Any) -> dict[str, Any]:
        settings = _known(session, _TRANSCRIPTION_SETTINGS)
        if self._audio.has_begun:
            raise malformed("Session fields cannot be changed after audio has started.")
        if "audio_format" in settings:
            try:
                audio_format = msgspec.convert(settings["audio_format"], AudioFormat)
            except msgspec.ValidationError:
                raise malformed("The audio format is none of Mistral's.") from None
            if not audio_format.is_known:
                raise malformed("The audio format is none of Mistral's.")
            self._audio.agree(audio_format)
            settings["audio_format"] = msgspec.to_builtins(audio_format)
        return settings


class SpeechMessages:
    """The gateway's messages on a speech socket."""

    def __init__(self, meter: Meter, model: str, entitled: Entitlement) -> None:
        self._meter = meter
        self._model = model
        self._entitled = entitled
        self._may_speak = entitled.voices is None

    def passed(self, frame: bytes) -> bytes:
        """Count a message and return it as it goes on. Raises RefusedCallError."""
        message = _message(frame)
        match message.get("type"):
            case "input_text.append":
                return _encode({"type": "input_text.append", "text": self._counted(_text(message, "text"))})
            case "input_text.flush":
                if "text" in message:
                    return _encode({"type": "input_text.flush", "text": self._counted(_text(message, "text"))})
                return _encode({"type": "input_text.flush"})
            case "input_text.end":
                return _encode({"type": "input_text.end"})
            case "session.update":
                settings = _known(message.get("session"), _SPEECH_SETTINGS)
                if "voice" in settings:
                    _check_voice(_text(settings, "voice"), self._entitled)
                    self._may_speak = True
                return _encode({"type": "session.update", "session": settings})
        raise malformed("A speech socket has no such message.")

    def _counted(self, text: str) -> str:
        if not self._may_speak:
            raise malformed("A voice of the plan must be named before it speaks.")
        self._meter.add(self._model, Unit.CHARACTERS, len(text))
        return text


def _check_voice(voice: str, entitled: Entitlement) -> None:
    if not entitled.allows_voice(voice):
        raise not_in_plan("voice", voice)


def _decoded_size(base64_text: bytes) -> int:
    """Return how many bytes it can stand for at most: padding, however much there is of it, takes nothing away."""
    return (len(base64_text) - base64_text.count(b"=")) * 3 // 4


def _message(frame: bytes) -> dict[str, Any]:
    try:
        return _decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise malformed("The message is no JSON object.") from None


def _fields(body: bytes, known: frozenset[str]) -> dict[str, Any]:
    try:
        return _known(_decode(body), known)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise malformed("The body is no JSON object.") from None


def _known(value: Any, known: frozenset[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise malformed("An object is missing.")
    unknown = sorted(name for name in value if name not in known)
    if unknown:
        raise malformed(f"There is no field {unknown[0]!r} here."[:200])
    return value


def _text(value: dict[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str):
        raise malformed(f"`{name}` must be a text.")
    return text
