"""`POST /v1/audio/transcriptions`: a whole recording, here a WAV file."""

from dataclasses import dataclass

from aiohttp import web

from mistral_voice.simulator.audio import read_wav
from mistral_voice.simulator.call import Call
from mistral_voice.simulator.catalogue import Ability
from mistral_voice.simulator.errors import invalid_model, unprocessable
from mistral_voice.simulator.streams import SseStream
from mistral_voice.simulator.wire.transcription import Done, DoneSegment, Language, Segment, TextDelta
from mistral_voice.simulator.wire.usage import count_tokens, usage

_AUDIO_TOKENS_PER_SECOND = 12.5


@dataclass(frozen=True)
class _Form:
    file: bytes
    model: str
    language: str
    stream: bool


async def transcribe(call: Call) -> web.StreamResponse:
    """Transcribe the form's `file`, whole or as a stream."""
    form = await _form(call)
    call.record.model = form.model
    if call.simulator.catalogue.usable(form.model, Ability.TRANSCRIPTION) is None:
        raise invalid_model(form.model)
    try:
        samples, rate = read_wav(form.file)
    except ValueError as error:
        raise unprocessable(call.simulator.dialect, ("body", "file"), str(error)) from error
    seconds = len(samples) / rate
    call.record.audio_ms = seconds * 1000
    text = await call.simulator.temperament.transcribe(samples, rate, call.script)
    done = Done(
        model=form.model,
        text=text,
        language=form.language,
        usage=usage(round(seconds * _AUDIO_TOKENS_PER_SECOND), count_tokens(text), round(seconds)),
        segments=[DoneSegment(text, 0.0, round(seconds, 3))],
    )
    return await _stream(call, done) if form.stream else call.json(done)


async def _form(call: Call) -> _Form:
    dialect = call.simulator.dialect
    if call.request.content_type != "multipart/form-data":
        raise unprocessable(dialect, ("body",), "Input should be multipart/form-data")
    fields = await call.request.post()
    file, model = fields.get("file"), fields.get("model")
    if not isinstance(file, web.FileField):
        raise unprocessable(dialect, ("body", "file"), "Field required", "missing")
    if not isinstance(model, str):
        raise unprocessable(dialect, ("body", "model"), "Field required", "missing")
    language = fields.get("language")
    return _Form(
        file=file.file.read(),
        model=model,
        language=language if isinstance(language, str) and language else "en",
        stream=str(fields.get("stream", "")).lower() == "true",
    )


async def _stream(call: Call, done: Done) -> web.StreamResponse:
    stream = SseStream(call)
    await stream.open()
    await stream.send(Language(done.language or "en"), "transcription.language")
    await stream.send(TextDelta(done.text), "transcription.text.delta")
    for segment in done.segments:
        await stream.send(Segment(segment.text, segment.start, segment.end), "transcription.segment")
    await stream.send(done, "transcription.done")
    return await stream.close()
