"""`WS /v1/audio/speech/realtime`."""

import asyncio
import math
import re
from dataclasses import dataclass

import msgspec
import pybase64
from aiohttp import web

from mistral_voice.simulator.call import Call, StreamEndedError
from mistral_voice.simulator.catalogue import Ability
from mistral_voice.simulator.endpoints.sockets import NORMAL, POLICY_VIOLATION, Socket, opened, refuse, refuse_model
from mistral_voice.simulator.endpoints.speaking import SIMULATED_FORMATS, int16_bytes, pcm_bytes, speech_usage, wav_header
from mistral_voice.simulator.errors import CODE_INVALID_SETTING, RealtimeError
from mistral_voice.simulator.scripted.tone import tone, tone_hz
from mistral_voice.simulator.voices import Voice
from mistral_voice.simulator.wire.speech import (
    RESPONSE_FORMATS,
    AnyClientMessage,
    AudioDelta,
    AudioDone,
    InputTextAppend,
    InputTextEnd,
    InputTextFlush,
    Session,
    SessionCreated,
    SessionPatch,
    SessionUpdate,
    SessionUpdated,
)

_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_MAX_PENDING_TEXT = 100_000
_MAX_PENDING_WORK = 1_000
_decoder = msgspec.json.Decoder(AnyClientMessage)
_STREAMING_MODES = ("responsive", "long_form")
_CLAUSE = re.compile(r".+[,;:.!?…]+(?=\s)", re.DOTALL)
_SENTENCE = re.compile(r".+[.!?…]+(?=\s)", re.DOTALL)


async def speak(call: Call) -> web.StreamResponse:
    """Speak text as it comes."""
    async with opened(call, Ability.SPEECH, _MAX_MESSAGE_BYTES) as (socket, model):
        if model is None:
            await refuse_model(socket)
        else:
            await _Speaker(socket).run()
    return socket.websocket


@dataclass(frozen=True)
class _Say:
    text: str
    voice: Voice | None
    response_format: str


@dataclass(frozen=True)
class _Stray:
    """Audio where there should be none, as the script wants it."""

    duration_ms: int


@dataclass(frozen=True)
class _EndGeneration:
    """A `flush`; `last` is an `end`."""

    last: bool = False


class _Speaker:
    """One speech session: messages come in, the mouth works them off in order."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._call = socket.call
        self._session = Session(request_id=self._call.request_id, model=self._call.request.query["model"])
        self._voice: Voice | None = None
        self._pending = ""
        self._open_generation = False
        self._work: asyncio.Queue[_Say | _Stray | _EndGeneration] = asyncio.Queue(maxsize=_MAX_PENDING_WORK)
        self._spoken = ""
        self._seconds = 0.0

    async def run(self) -> None:
        """Serve the session until the client ends it or goes."""
        try:
            await self._socket.stream.send(SessionCreated(self._session))
            async with asyncio.TaskGroup() as tasks:
                mouth = tasks.create_task(self._work_off())
                if not await self._serve():
                    mouth.cancel()
        except* StreamEndedError:
            pass

    async def _serve(self) -> bool:
        """Take messages in; tells whether the client ended the session, rather than go."""
        while True:
            try:
                message = await self._socket.receive(_decoder)
                if message is None:
                    return False
                self._socket.record(msgspec.to_builtins(message))
                if await self._take(message):
                    return True
            except RealtimeError as error:
                await refuse(self._socket, error)

    async def _take(self, message: AnyClientMessage) -> bool:
        """Handle one message; tells whether it was the last."""
        match message:
            case SessionUpdate(session=patch):
                await self._update(patch)
            case InputTextAppend(text=text):
                await self._append(text)
            case InputTextFlush(text=text):
                await self._append(text or "")
                await self._end_generation()
            case InputTextEnd():
                if self._open_generation:
                    await self._end_generation()
                await self._work.put(_EndGeneration(last=True))
                return True
        return False

    async def _update(self, patch: SessionPatch) -> None:
        session = _patched(self._session, patch)
        if isinstance(patch.voice, str):
            self._voice = self._call.simulator.voices.find(patch.voice)
            if self._voice is None:
                await self._socket.stream.close(POLICY_VIOLATION, f"Voice '{patch.voice}' not found.")
                raise StreamEndedError("The voice is refused.")
        self._session = session
        await self._socket.stream.send(SessionUpdated(session))
        if isinstance(patch.voice, str):
            await self._work.put(_Stray(self._call.script.script.speech.unasked_ms))

    async def _append(self, text: str) -> None:
        """Take text in, and speak what is ready: whole clauses, or whole sentences in long form."""
        if not text:
            return
        self._open_generation = True
        self._pending += text
        if len(self._pending) > _MAX_PENDING_TEXT:
            raise RealtimeError(f"More than {_MAX_PENDING_TEXT} characters without a flush.", CODE_INVALID_SETTING)
        ready = (_CLAUSE if self._session.streaming_mode == "responsive" else _SENTENCE).match(self._pending)
        if ready is not None:
            self._pending = self._pending[ready.end() :]
            await self._say(ready[0])

    async def _end_generation(self) -> None:
        pending, self._pending = self._pending, ""
        await self._say(pending)
        if self._open_generation or self._call.simulator.dialect.empty_flush_yields_done:
            await self._work.put(_EndGeneration())
        self._open_generation = False

    async def _say(self, text: str) -> None:
        if text.strip():
            await self._work.put(_Say(text, self._voice, self._session.response_format))

    async def _work_off(self) -> None:
        while True:
            match await self._work.get():
                case _EndGeneration(last=True):
                    await self._socket.stream.close(NORMAL)
                    return
                case _EndGeneration():
                    await self._socket.stream.send(AudioDone(speech_usage(self._spoken, self._seconds)))
                    await self._stray(self._call.script.script.speech.late_ms)
                    self._spoken, self._seconds = "", 0.0
                case _Stray(duration_ms=duration_ms):
                    await self._stray(duration_ms)
                case _Say() as say:
                    await self._speak(say)

    async def _stray(self, duration_ms: int) -> None:
        if duration_ms > 0:
            dialect = self._call.simulator.dialect
            samples = tone(tone_hz(self._spoken), duration_ms, dialect.speech_sample_rate, 0.3)
            await self._socket.stream.send(AudioDelta(pybase64.b64encode_as_string(pcm_bytes(samples, dialect))))

    async def _speak(self, say: _Say) -> None:
        simulator = self._call.simulator
        rate = simulator.dialect.speech_sample_rate
        async for samples in simulator.temperament.speak(say.text, say.voice, self._call.script, rate):
            data = pcm_bytes(samples, simulator.dialect) if say.response_format == "pcm" else int16_bytes(samples)
            if say.response_format == "wav" and self._seconds == 0:
                data = wav_header(rate, None) + data
            self._seconds += len(samples) / rate
            await self._socket.stream.send(AudioDelta(pybase64.b64encode_as_string(data)))
        self._spoken += say.text


def _patched(session: Session, patch: SessionPatch) -> Session:
    """Return the session with the patch's settings; raises RealtimeError for one that Mistral does not take."""
    if isinstance(patch.voice, str) and isinstance(patch.ref_audio, str):
        raise RealtimeError("voice and ref_audio are mutually exclusive.", CODE_INVALID_SETTING)
    if isinstance(patch.response_format, str) and patch.response_format not in RESPONSE_FORMATS:
        raise RealtimeError(f"Unsupported response_format {patch.response_format!r}.", CODE_INVALID_SETTING)
    if isinstance(patch.response_format, str) and patch.response_format not in SIMULATED_FORMATS:
        raise RealtimeError(f"The simulator speaks pcm and wav, not {patch.response_format}.", CODE_INVALID_SETTING)
    if isinstance(patch.streaming_mode, str) and patch.streaming_mode not in _STREAMING_MODES:
        raise RealtimeError(f"Unsupported streaming_mode {patch.streaming_mode!r}.", CODE_INVALID_SETTING)
    if isinstance(patch.expressiveness, float) and not (math.isfinite(patch.expressiveness) and patch.expressiveness >= 1):
        raise RealtimeError("expressiveness must be at least 1.", CODE_INVALID_SETTING)
    changes = {
        name: value
        for name in ("voice", "streaming_mode", "response_format", "expressiveness")
        if (value := getattr(patch, name)) is not msgspec.UNSET and (value is not None or name == "voice")
    }
    if isinstance(patch.ref_audio, str):
        changes |= {"is_ref_audio": True, "voice": None}
    elif isinstance(patch.voice, str):
        changes["is_ref_audio"] = False
    return msgspec.structs.replace(session, **changes)
