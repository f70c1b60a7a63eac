"""A user of `pipecat-ai`: a pipeline with its realtime service, a microphone, and a loudspeaker that plays at the speed of hearing."""

import asyncio
import base64
import time
from typing import Any

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMMessagesAppendFrame,
    LLMUpdateSettingsFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import WorkerRunner
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams

from tests.conformance.drivers.stage import OPTIONS, TOKEN, URL, chunks, deeds, see

RATE_HZ = 24_000
WEATHER = FunctionSchema(name="weather", description="The weather of a city.", properties={"city": {"type": "string"}}, required=["city"])


class Loudspeaker(BaseOutputTransport):
    """Plays each piece for as long as it lasts."""

    def __init__(self) -> None:
        super().__init__(TransportParams(audio_out_enabled=True, audio_out_sample_rate=RATE_HZ))
        self._busy_until = 0.0

    async def start(self, frame: StartFrame) -> None:
        """Begin."""
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Play a piece."""
        see("sound", audio=base64.b64encode(frame.audio).decode())
        self._busy_until = max(self._busy_until, time.monotonic()) + len(frame.audio) / 2 / RATE_HZ
        await asyncio.sleep(self._busy_until - time.monotonic())
        return True


class Ears(FrameProcessor):
    """What comes by on the way from or to the service is what the user of a pipeline sees."""

    def __init__(self) -> None:
        super().__init__()
        self._words: list[str] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Look at a frame and pass it on."""
        await super().process_frame(frame, direction)
        match frame:
            case TranscriptionFrame():
                see("heard", text=frame.text)
            case TTSTextFrame():
                self._words.append(frame.text)
            case LLMFullResponseEndFrame():
                if self._words:
                    see("said", text="".join(self._words))
                self._words.clear()
            case InterruptionFrame():
                see("interrupted")
        await self.push_frame(frame, direction)


async def weather(call: FunctionCallParams) -> None:
    """Tell the weather."""
    see("tool", name=call.function_name, arguments=dict(call.arguments))
    await call.result_callback("It rains.")


async def act(worker: PipelineWorker, service: OpenAIRealtimeLLMService) -> None:
    """Do what the user does."""
    has_written = False
    async for deed in deeds():
        match deed["do"]:
            case "speak":
                for chunk in chunks(deed["file"]):
                    await worker.queue_frame(InputAudioRawFrame(audio=chunk, sample_rate=RATE_HZ, num_channels=1))
            case "write" if has_written:
                # The service takes a context's messages once; what is written later goes to it as events.
                item = events.ConversationItem(
                    type="message", role="user", content=[events.ItemContent(type="input_text", text=deed["text"])]
                )
                await service.send_client_event(events.ConversationItemCreateEvent(item=item))
                await service.send_client_event(events.ResponseCreateEvent())
            case "write":
                has_written = True
                await worker.queue_frame(LLMMessagesAppendFrame([{"role": "user", "content": deed["text"]}], run_llm=True))
            case "instruct":
                settings = OpenAIRealtimeLLMService.Settings(system_instruction=deed["text"])
                await worker.queue_frame(LLMUpdateSettingsFrame(delta=settings))
            case "blunder":
                await service.send_client_event(events.ResponseCancelEvent())
            case "commit":
                await service.send_client_event(events.InputAudioBufferCommitEvent())
    await worker.queue_frame(EndFrame())


async def main() -> None:
    """Run the pipeline until the user leaves."""
    service = OpenAIRealtimeLLMService(
        api_key=TOKEN,
        base_url=f"{URL.replace('http', 'ws', 1)}/v1/realtime",
        settings=OpenAIRealtimeLLMService.Settings(
            system_instruction="Be brief.",
            session_properties=events.SessionProperties(
                audio=events.AudioConfiguration(input=events.AudioInput(transcription=events.InputAudioTranscription()))
            ),
        ),
    )
    service.register_function("weather", weather)
    context = LLMContext(tools=ToolsSchema(standard_tools=[WEATHER] if "tools" in OPTIONS else []))
    both = LLMContextAggregatorPair(context)
    pipeline = Pipeline([both.user(), Ears(), service, Ears(), Loudspeaker(), both.assistant()])
    worker = PipelineWorker(pipeline, params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ), enable_rtvi=False)

    @worker.event_handler("on_pipeline_started")
    async def started(_: Any, __: Any) -> None:
        see("connected")

    @worker.event_handler("on_pipeline_error")
    async def failed(_: Any, frame: Any) -> None:
        see("trouble", text=frame.error)

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    acting = asyncio.create_task(act(worker, service))
    await runner.run()
    acting.cancel()
    await asyncio.gather(acting, return_exceptions=True)


asyncio.run(main())
