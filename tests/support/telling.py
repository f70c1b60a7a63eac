"""An assistant that tells a story, and a caller who can be heard over it."""

from collections.abc import Sequence

from mistral_voice.gateway.session import commands, events, inputs
from mistral_voice.gateway.session.commands import Outcome
from mistral_voice.gateway.session.playout import LEAD_MS
from tests.support.session import MS, Desk, a_policy, message

STORY = ("First comes the beginning as ever.", "Then comes the middle, at length.", "Last is the end.")


class Telling(Desk):
    """The assistant tells a story at the usual pace: three sentences of two seconds each, all of it written and made at once."""

    def __init__(
        self, sentences: Sequence[str] = STORY, *, written: bool = True, options: inputs.ResponseOptions | None = None, **policy: object
    ) -> None:
        super().__init__(a_policy(lead_ms=LEAD_MS, **policy))
        self.give(inputs.CreateResponse(options or inputs.ResponseOptions()))
        self.response_id = self.last(events.ResponseCreated).response.id
        self.give(inputs.ReplyText(self.response_id, " ".join(sentences) + ("" if written else " And")))
        if written:
            self.give(inputs.ReplyFinished(self.response_id, "stop", inputs.Usage(30, 0, 20)))
        for speak in self.all(commands.Speak):
            self.give(
                inputs.SpeechAudio(self.response_id, speak.segment, MS * 2000), inputs.SpeechFinished(self.response_id, speak.segment)
            )

    @property
    def epoch(self) -> int:
        """That of the detector in force."""
        return self.last(commands.Detect).epoch

    @property
    def sent_ms(self) -> int:
        """How much audio the client was given."""
        return sum(len(delta.audio) for delta in self.all(events.AudioDelta)) // len(MS)

    def voice(self) -> None:
        """The caller's voice is heard, and confirmed."""
        self.give(inputs.AppendAudio(MS * 1000), inputs.VoiceSuspected(self.epoch))
        self.wait(200)
        self.give(inputs.VoiceStarted(500, self.epoch))

    def end_of_voice(self, text: str) -> str:
        """The caller falls silent, and was understood; returns the turn's item id."""
        self.give(inputs.AppendAudio(MS * 1000))
        self.wait(800)
        self.give(inputs.VoiceStopped(1500, self.epoch))
        item_id = self.last(commands.FinishTurn).item_id
        self.give(inputs.TranscriptDone(item_id, text))
        return item_id

    def text_of(self, item_id: str) -> str:
        """Return what the conversation holds of an item."""
        self.give(inputs.RetrieveItem(item_id))
        return message(self.last(events.ItemRetrieved).item).text

    @property
    def first_item(self) -> str:
        """The id of the first reply's message."""
        return self.all(events.OutputItemAdded)[0].item.id

    @property
    def said_again(self) -> list[str]:
        """What the newest reply speaks."""
        newest = self.last(events.ResponseCreated).response.id
        return [speak.text for speak in self.all(commands.Speak) if speak.response_id == newest]

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of each voice that was heard over the assistant's."""
        return [barged_in.outcome for barged_in in self.all(commands.BargedIn)]
