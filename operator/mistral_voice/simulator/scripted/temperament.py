"""The scripted temperament as a whole."""

import re
from collections.abc import AsyncIterator, Sequence

import msgspec

from mistral_voice.simulator.audio import Samples
from mistral_voice.simulator.clock import Clock
from mistral_voice.simulator.dialect import Dialect
from mistral_voice.simulator.script import ReplyScript, ScriptInUse
from mistral_voice.simulator.scripted.ear import ScriptedEar
from mistral_voice.simulator.scripted.tone import tone, tone_hz
from mistral_voice.simulator.temperament import Piece, Reply
from mistral_voice.simulator.voices import Voice
from mistral_voice.simulator.wire.chat import ChatRequest
from mistral_voice.simulator.wire.transcription import Session

DEFAULT_REPLY = "You said: {user}"


class ScriptedTemperament:
    """Hears, answers and speaks as the scripts say."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tones: dict[tuple[int, int, int, float], Samples] = {}

    async def ear(self, session: Session, script: ScriptInUse, dialect: Dialect) -> ScriptedEar:
        """Return the ear of a session whose settings are final."""
        return ScriptedEar(session, script.script.transcription, script.next_conversation(), dialect)

    async def reply(self, request: ChatRequest, script: ScriptInUse, session: str | None) -> Reply:
        """Return the script's reply to a conversation."""
        user, result = (_last(request, role) for role in ("user", "tool"))
        reply = script.next_reply(request.messages[-1].text(), session)
        if request.tool_choice == "none" and reply.tool_calls:
            reply = msgspec.structs.replace(reply, tool_calls=())
        return scripted_reply(reply, user, result)

    async def speak(self, text: str, voice: Voice | None, script: ScriptInUse, sample_rate: int) -> AsyncIterator[Samples]:  # noqa: ARG002
        """Yield the text's tone in chunks, at the script's pace."""
        speech = script.script.speech
        hz = speech.tone_hz if speech.tone_hz is not None else tone_hz(text)
        # Whole periods of 20 ms let one chunk of samples serve for all of a tone.
        duration_ms = max(20, len(text.strip()) * speech.ms_per_character // 20 * 20)
        chunk = self._chunk(hz, speech.chunk_ms, sample_rate, speech.amplitude)
        started = self._clock.now() + script.next_first_audio_ms() / 1000
        for at_ms in range(0, duration_ms, speech.chunk_ms):
            paced_ms = at_ms / speech.speed if speech.speed > 0 else 0.0
            await self._clock.sleep_until(started + paced_ms / 1000)
            length_ms = min(speech.chunk_ms, duration_ms - at_ms)
            yield chunk if length_ms == speech.chunk_ms else chunk[: length_ms * sample_rate // 1000]

    async def transcribe(self, samples: Samples, sample_rate: int, script: ScriptInUse) -> str:  # noqa: ARG002
        """Return the text of the next conversation."""
        return " ".join(turn.text for turn in script.next_conversation())

    async def close(self) -> None:
        """Nothing to give up."""

    def _chunk(self, hz: int, duration_ms: int, sample_rate: int, amplitude: float) -> Samples:
        wanted = (hz, duration_ms, sample_rate, amplitude)
        if wanted not in self._tones:
            if len(self._tones) >= 256:
                self._tones.clear()
            chunk = tone(hz, duration_ms, sample_rate, amplitude)
            chunk.flags.writeable = False
            self._tones[wanted] = chunk
        return self._tones[wanted]


def _last(request: ChatRequest, role: str) -> str:
    return next((message.text() for message in reversed(request.messages) if message.role == role), "")


def scripted_reply(script: ReplyScript, user: str, result: str = "") -> Reply:
    """Return a script's reply with its pace; `{user}` becomes the last user message, `{result}` the last result of a tool."""
    text = script.text if script.text is not None else ("" if script.tool_calls else DEFAULT_REPLY)
    texts: Sequence[str] = script.tokens or _tokens(text.replace("{user}", user).replace("{result}", result))
    thinking = [script.thinking] if script.thinking else []
    pieces = []
    for number, (text, thought) in enumerate([("", thought) for thought in thinking] + [(text, "") for text in texts]):
        pieces.append(Piece(script.first_token_ms + number * script.token_ms, text, thought))
    return Reply(
        pieces=pieces,
        tool_calls=script.tool_calls,
        token_ms=script.token_ms,
        tool_calls_at_ms=script.first_token_ms + len(pieces) * script.token_ms,
        finish_reason=script.finish_reason or ("tool_calls" if script.tool_calls else "stop"),
        content_as_list=script.content_as_list,
    )


def _tokens(text: str) -> list[str]:
    """Cut a text before its spaces: joined, the pieces give the text again."""
    return re.findall(r"\s*\S+|\s+$", text)
