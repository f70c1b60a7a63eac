"""Has a session's replies spoken, one speech for each, its socket asked for while the reply is still being written."""

from mistral_voice.gateway.session.commands import Speak
from mistral_voice.gateway.upstream.reply_speech import ReplySpeech
from mistral_voice.gateway.upstream.speech_sockets import SpeechSockets
from mistral_voice.gateway.upstream.tasks import Emit, Spawn, UpstreamObserver


class Speaker:
    """The speeches of one session, by reply."""

    def __init__(self, sockets: SpeechSockets, emit: Emit, spawn: Spawn, observer: UpstreamObserver) -> None:
        self._sockets = sockets
        self._emit = emit
        self._spawn = spawn
        self._observer = observer
        self._prepared: ReplySpeech | None = None
        self._prepared_for: str | None = None
        self._speaking: dict[str, ReplySpeech] = {}

    def prepare(self, voice: str, response_id: str | None) -> None:
        """Take a socket ahead of the first text. It is for the first reply that is named, and goes with it if that is dropped."""
        if self._prepared is None or self._prepared.voice != voice or self._prepared.is_over:
            self._discard_prepared()
            self._prepared = self._begun(voice)
        self._prepared_for = self._prepared_for or response_id

    def speak(self, command: Speak) -> None:
        """Speak a segment of a reply."""
        speech = self._speaking.get(command.response_id)
        if speech is None:
            speech = self._taken(command.voice)
            self._speaking[command.response_id] = speech
            speech.begin(command.response_id, command.audio_format, lambda: self._speaking.pop(command.response_id, None))
        speech.add(command.segment, command.text)

    def finish(self, response_id: str) -> None:
        """A reply has no further segments: its socket closes after the last."""
        speech = self._speaking.get(response_id)
        if speech is not None:
            speech.finish()

    def drop(self, response_id: str) -> None:
        """Stop speaking this reply, also if it was only to begin. What was prepared for another stays."""
        if self._prepared_for == response_id:
            self._discard_prepared()
        speech = self._speaking.get(response_id)
        if speech is not None:
            speech.stop()

    def _taken(self, voice: str) -> ReplySpeech:
        prepared, self._prepared, self._prepared_for = self._prepared, None, None
        if prepared is not None and prepared.voice == voice and not prepared.is_over:
            return prepared
        if prepared is not None:
            prepared.stop()
        return self._begun(voice)

    def _begun(self, voice: str) -> ReplySpeech:
        speech = ReplySpeech(self._sockets, voice, self._emit, self._observer)
        speech.run_as(self._spawn(speech.run()))
        return speech

    def _discard_prepared(self) -> None:
        if self._prepared is not None:
            self._prepared.stop()
        self._prepared = self._prepared_for = None
