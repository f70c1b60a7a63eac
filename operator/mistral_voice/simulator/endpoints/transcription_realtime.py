"""`WS /v1/audio/transcriptions/realtime`."""

import asyncio
import binascii
from collections.abc import Sequence

import msgspec
import pybase64
from aiohttp import web

from mistral_voice.simulator.audio import ENCODINGS, MAX_APPEND_BYTES, SAMPLE_RATES, AudioDecoder, bytes_per_sample
from mistral_voice.simulator.call import Call, StreamEndedError
from mistral_voice.simulator.catalogue import Ability, Model
from mistral_voice.simulator.endpoints.sockets import NORMAL, Socket, opened, refuse, refuse_model
from mistral_voice.simulator.errors import (
    CODE_AUDIO_TOO_LARGE,
    CODE_INVALID_MESSAGE,
    CODE_INVALID_SETTING,
    CODE_SETTINGS_LOCKED,
    RealtimeError,
)
from mistral_voice.simulator.temperament import Ear, Heard
from mistral_voice.simulator.wire.transcription import (
    AnyClientMessage,
    Done,
    InputAudioAppend,
    InputAudioEnd,
    InputAudioFlush,
    Language,
    Session,
    SessionCreated,
    SessionPatch,
    SessionUpdate,
    SessionUpdated,
    TextDelta,
    TurnDetection,
)
from mistral_voice.simulator.wire.usage import count_tokens, usage

_MAX_MESSAGE_BYTES = 1_048_576
_MAX_CONTEXT_BIAS = 100
_AUDIO_TOKENS_PER_SECOND = 12.5
_decoder = msgspec.json.Decoder(AnyClientMessage)


async def transcribe(call: Call) -> web.StreamResponse:
    """Transcribe audio as it comes."""
    async with opened(call, Ability.TRANSCRIPTION_REALTIME, _MAX_MESSAGE_BYTES) as (socket, model):
        if model is None:
            await refuse_model(socket)
        else:
            await _Listener(socket, model).run()
    return socket.websocket


class _Listener:
    """One transcription session."""

    def __init__(self, socket: Socket, model: Model) -> None:
        call = socket.call
        self._socket = socket
        self._call = call
        self._model = model
        self._session = Session(request_id=call.request_id, model=call.request.query["model"])
        self._ear: Ear | None = None
        self._decoder = AudioDecoder(self._session.audio_format.encoding)
        self._audio_bytes = 0
        self._text: list[str] = []
        self._language: str | None = None
        self._outbox: asyncio.Queue[tuple[float, Heard]] = asyncio.Queue(maxsize=1_000)
        self._unsent = 0

    async def run(self) -> None:
        """Serve the session until the client ends it or goes."""
        try:
            await self._socket.stream.send(SessionCreated(self._session))
            async with asyncio.TaskGroup() as tasks:
                sender = tasks.create_task(self._send_in_time())
                await self._serve()
                sender.cancel()
        except* StreamEndedError:
            pass
        finally:
            if self._ear is not None:
                await self._ear.close()

    async def _serve(self) -> None:
        while True:
            try:
                message = await self._socket.receive(_decoder)
                if message is None:
                    return
                if await self._take(message):
                    await self._socket.stream.close(NORMAL)
                    return
            except RealtimeError as error:
                await refuse(self._socket, error)

    async def _take(self, message: AnyClientMessage) -> bool:
        """Handle one message; tells whether it was the last."""
        match message:
            case SessionUpdate(session=patch):
                self._socket.record(msgspec.to_builtins(message))
                await self._update(patch)
            case InputAudioAppend(audio=encoded):
                await self._append(encoded)
            case InputAudioFlush():
                self._socket.record({"type": "input_audio.flush"})
                if self._ear is not None:
                    await self._emit(await self._ear.flush())
                if self._call.simulator.dialect.flush_yields_done:
                    await self._outbox.join()
                    await self._send_done()
            case InputAudioEnd():
                self._socket.record({"type": "input_audio.end"})
                if self._ear is not None:
                    await self._emit(await self._ear.end())
                await self._outbox.join()
                await self._send_done()
                return True
        return False

    async def _update(self, patch: SessionPatch) -> None:
        if self._ear is not None:
            raise RealtimeError("Session fields cannot be changed after audio has started.", CODE_SETTINGS_LOCKED)
        self._session = _patched(self._session, patch, self._model)
        self._decoder = AudioDecoder(self._session.audio_format.encoding)
        await self._socket.stream.send(SessionUpdated(self._session))

    async def _append(self, encoded: str) -> None:
        try:
            audio = pybase64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RealtimeError("Invalid message: `audio` is not base64.", CODE_INVALID_MESSAGE) from error
        if len(audio) > MAX_APPEND_BYTES:
            raise RealtimeError(f"Audio chunk too large: {len(audio)} bytes, at most {MAX_APPEND_BYTES}.", CODE_AUDIO_TOO_LARGE)
        if self._ear is None:
            self._ear = await self._call.simulator.temperament.ear(self._session, self._call.script, self._call.simulator.dialect)
        self._audio_bytes += len(audio)
        self._call.record.audio_ms = self._audio_seconds() * 1000
        recorder = self._call.simulator.recorder
        if recorder.wants_message(self._call.record):
            recorder.message(self._call.record, "in", {"type": "input_audio.append", "audio_bytes": len(audio)})
        await self._emit(await self._ear.hear(self._decoder.decode(audio)))

    async def _emit(self, heard: Sequence[Heard]) -> None:
        """Send what was heard in order, each event when it is due."""
        for item in heard:
            if item.delay_ms <= 0 and self._unsent == 0:
                await self._send(item)
            else:
                self._unsent += 1
                await self._outbox.put((self._call.simulator.clock.now() + item.delay_ms / 1000, item))

    async def _send_in_time(self) -> None:
        while True:
            due, item = await self._outbox.get()
            await self._call.simulator.clock.sleep_until(due)
            await self._send(item)
            self._unsent -= 1
            self._outbox.task_done()

    async def _send(self, item: Heard) -> None:
        match item.event:
            case TextDelta(text=text):
                self._text.append(text)
            case Language(audio_language=language):
                self._language = language
        await self._socket.stream.send(item.event)

    async def _send_done(self) -> None:
        text = "".join(self._text)
        seconds = self._audio_seconds()
        spent = usage(round(seconds * _AUDIO_TOKENS_PER_SECOND), count_tokens(text), round(seconds))
        await self._socket.stream.send(Done(self._session.model, text, self._language, spent))

    def _audio_seconds(self) -> float:
        audio_format = self._session.audio_format
        return self._audio_bytes / bytes_per_sample(audio_format.encoding) / audio_format.sample_rate


def _patched(session: Session, patch: SessionPatch, model: Model) -> Session:
    """Return the session with the patch's settings; raises RealtimeError for one that Mistral does not take."""
    if isinstance(patch.audio_format, msgspec.Struct):
        if patch.audio_format.encoding not in ENCODINGS:
            raise RealtimeError(
                f"Unsupported encoding {patch.audio_format.encoding!r}: use one of {', '.join(ENCODINGS)}.", CODE_INVALID_SETTING
            )
        if patch.audio_format.sample_rate not in SAMPLE_RATES:
            rates = ", ".join(map(str, SAMPLE_RATES))
            raise RealtimeError(f"Unsupported sample rate {patch.audio_format.sample_rate}: use one of {rates}.", CODE_INVALID_SETTING)
    delay_ms = patch.target_streaming_delay_ms
    if isinstance(delay_ms, int) and not model.accepts_delay(delay_ms):
        raise RealtimeError(f"target_streaming_delay_ms {delay_ms} is not supported by {model.id}.", CODE_INVALID_SETTING)
    _check_turn_detection(patch, model)
    if isinstance(patch.context_bias, list) and len(patch.context_bias) > _MAX_CONTEXT_BIAS:
        raise RealtimeError(f"context_bias may have at most {_MAX_CONTEXT_BIAS} entries.", CODE_INVALID_SETTING)
    changes = {name: value for name in patch.__struct_fields__ if (value := getattr(patch, name)) is not msgspec.UNSET}
    if changes.get("audio_format", ...) is None:
        del changes["audio_format"]
    if isinstance(changes.get("speaker_references"), dict):
        changes["speaker_references"] = list(changes["speaker_references"])
    return msgspec.structs.replace(session, **changes)


def _check_turn_detection(patch: SessionPatch, model: Model) -> None:
    detection = patch.turn_detection
    if not isinstance(detection, TurnDetection):
        return
    capabilities = model.audio_transcription_capabilities
    if capabilities is None or not capabilities.turn_detection:
        raise RealtimeError(f"turn_detection is not supported by {model.id}.", CODE_INVALID_SETTING)
    thresholds = (detection.start_threshold, detection.eager_end_threshold, detection.end_threshold)
    if not all(0 <= threshold <= 1 for threshold in thresholds):
        raise RealtimeError("turn_detection thresholds must be from 0 to 1.", CODE_INVALID_SETTING)
    if detection.min_silence_ms < 0 or (detection.end_timeout_ms is not None and detection.end_timeout_ms < 0):
        raise RealtimeError("turn_detection times must not be negative.", CODE_INVALID_SETTING)
