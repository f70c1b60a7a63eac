"""`POST /v1/audio/speech`."""

import binascii
import math
from collections.abc import AsyncIterator

import pybase64
from aiohttp import web

from mistral_voice.simulator.call import Call
from mistral_voice.simulator.catalogue import Ability
from mistral_voice.simulator.endpoints.speaking import SIMULATED_FORMATS, int16_bytes, pcm_bytes, speech_usage, wav_header
from mistral_voice.simulator.errors import invalid_model, not_found, unprocessable
from mistral_voice.simulator.streams import SseStream
from mistral_voice.simulator.voices import Voice
from mistral_voice.simulator.wire.speech import RESPONSE_FORMATS, AudioDelta, AudioDone, SpeechRequest

DEFAULT_MODEL = "voxtral-mini-tts-latest"
MAX_INPUT_CHARACTERS = 10_000


async def speak(call: Call) -> web.StreamResponse:
    """Speak a text, as a stream or whole."""
    request: SpeechRequest = call.decode(SpeechRequest)
    voice = _check(call, request)
    if request.response_format not in SIMULATED_FORMATS:
        audio = _canned(call, request)
        return await (_stream_canned(call, request, audio) if request.stream else _whole(call, audio))
    return await (_stream(call, request, voice) if request.stream else _whole(call, await _all(call, request, voice)))


def _check(call: Call, request: SpeechRequest) -> Voice | None:
    dialect = call.simulator.dialect
    if not request.input.strip() or len(request.input) > MAX_INPUT_CHARACTERS:
        raise unprocessable(dialect, ("body", "input"), f"Input should have 1 to {MAX_INPUT_CHARACTERS} characters", "string_length")
    if request.response_format not in RESPONSE_FORMATS:
        allowed = ", ".join(f"'{name}'" for name in RESPONSE_FORMATS)
        raise unprocessable(
            dialect, ("body", "response_format"), f"Input should be one of {allowed}", "literal_error", request.response_format
        )
    if request.expressiveness is not None and not (math.isfinite(request.expressiveness) and request.expressiveness >= 1):
        raise unprocessable(dialect, ("body", "expressiveness"), "Input should be greater than or equal to 1", "greater_than_equal")
    model = request.model or DEFAULT_MODEL
    if call.simulator.catalogue.usable(model, Ability.SPEECH) is None:
        raise invalid_model(model)
    return _voice(call, request)


def _voice(call: Call, request: SpeechRequest) -> Voice | None:
    dialect = call.simulator.dialect
    if request.ref_audio is not None:
        if request.voice_id is not None:
            raise unprocessable(dialect, ("body", "ref_audio"), "voice_id and ref_audio are mutually exclusive")
        _reference_audio(call, request.ref_audio)
        return None
    if request.voice_id is None:
        return None
    voice = call.simulator.voices.find(request.voice_id)
    if voice is None:
        raise not_found(f"Voice '{request.voice_id}' not found.")
    return voice


def _reference_audio(call: Call, encoded: str) -> bytes:
    try:
        return pybase64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise unprocessable(call.simulator.dialect, ("body", "ref_audio"), "Input should be base64") from error


def _canned(call: Call, request: SpeechRequest) -> bytes:
    encoded = call.script.script.speech.canned.get(request.response_format)
    if encoded is None:
        message = f"The simulator speaks pcm and wav; a script may give it canned audio for {request.response_format}."
        raise unprocessable(call.simulator.dialect, ("body", "response_format"), message, "value_error", request.response_format)
    return pybase64.b64decode(encoded)


async def _chunks(call: Call, request: SpeechRequest, voice: Voice | None) -> AsyncIterator[tuple[bytes, float]]:
    """Yield the audio in the wanted format, with each chunk's duration in seconds."""
    dialect = call.simulator.dialect
    rate = dialect.speech_sample_rate
    first = request.response_format == "wav"
    async for samples in call.simulator.temperament.speak(request.input, voice, call.script, rate):
        data = pcm_bytes(samples, dialect) if request.response_format == "pcm" else int16_bytes(samples)
        yield (wav_header(rate, None) + data if first else data), len(samples) / rate
        first = False


async def _all(call: Call, request: SpeechRequest, voice: Voice | None) -> bytes:
    audio = b"".join([data async for data, _ in _chunks(call, request, voice)])
    if request.response_format == "wav":
        header = len(wav_header(0, None))
        return wav_header(call.simulator.dialect.speech_sample_rate, len(audio) - header) + audio[header:]
    return audio


async def _whole(call: Call, audio: bytes) -> web.StreamResponse:
    return call.json({"audio_data": pybase64.b64encode_as_string(audio)})


async def _stream(call: Call, request: SpeechRequest, voice: Voice | None) -> web.StreamResponse:
    stream = SseStream(call)
    await stream.open()
    seconds = 0.0
    async for data, duration in _chunks(call, request, voice):
        seconds += duration
        await stream.send(AudioDelta(pybase64.b64encode_as_string(data)), "speech.audio.delta")
    await stream.send(AudioDone(speech_usage(request.input, seconds)), "speech.audio.done")
    return await stream.close()


async def _stream_canned(call: Call, request: SpeechRequest, audio: bytes) -> web.StreamResponse:
    stream = SseStream(call)
    await stream.open()
    await stream.send(AudioDelta(pybase64.b64encode_as_string(audio)), "speech.audio.delta")
    await stream.send(AudioDone(speech_usage(request.input, 0)), "speech.audio.done")
    return await stream.close()
