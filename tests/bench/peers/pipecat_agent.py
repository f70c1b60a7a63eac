"""pipecat as a voice agent on Mistral: its own Mistral services, Silero, its WebSocket transport. One pipeline for each call, one process.

`python pipecat_agent.py MISTRAL_URL KEY`; prints `listening PORT`. Calls are WebSockets with PCM16 at 16 kHz in binary messages and nothing
else, which costs pipecat less than any serializer of its own. What it can leave out for the better (interim turns' tracking, its RTVI
messages, silence between replies, metrics) is left out.
"""

import asyncio
import socket
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from mistralai.client import Mistral
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.services.mistral.llm import MistralLLMService
from pipecat.services.mistral.stt import MistralSTTService
from pipecat.services.mistral.tts import MistralTTSService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

RATE_HZ = 16_000
STOP_SECONDS = 0.2
TURN_SECONDS = 0.3
"""After `STOP_SECONDS` without voice, so long until the turn is over: 500 ms in all, as the gateway's."""


class BarePcm(FrameSerializer):
    """Samples and nothing else."""

    async def serialize(self, frame: Frame) -> str | bytes | None:
        """Return a message for a frame of the assistant's audio."""
        return frame.audio if isinstance(frame, OutputAudioRawFrame) else None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """Return the frame that a message holds."""
        return InputAudioRawFrame(audio=data, sample_rate=RATE_HZ, num_channels=1) if isinstance(data, bytes) else None


def pipeline(websocket: WebSocket, url: str, key: str) -> PipelineWorker:
    """Return the pipeline of one call."""
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_in_sample_rate=RATE_HZ,
            audio_out_sample_rate=RATE_HZ,
            audio_out_auto_silence=False,
            serializer=BarePcm(),
        ),
    )
    stt = MistralSTTService(
        api_key=key,
        base_url=url,
        ttfs_p99_latency=STOP_SECONDS + TURN_SECONDS,
        settings=MistralSTTService.Settings(model="voxtral-mini-transcribe-realtime-3-0"),
    )
    llm = MistralLLMService(api_key=key, base_url=f"{url}/v1", settings=MistralLLMService.Settings(model="mistral-medium-latest"))
    tts = MistralTTSService(api_key=key, settings=MistralTTSService.Settings(model="voxtral-mini-tts-3-0", voice="voice_478"))
    tts._client = Mistral(api_key=key, server_url=url)  # It takes no address of its own.
    strategies = UserTurnStrategies(
        start=[VADUserTurnStartStrategy()], stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=TURN_SECONDS)]
    )
    analyzer = SileroVADAnalyzer(params=VADParams(stop_secs=STOP_SECONDS))
    aggregators = LLMContextAggregatorPair(
        LLMContext(),
        user_params=LLMUserAggregatorParams(vad_analyzer=analyzer, user_turn_strategies=strategies),
    )
    processors: list[Any] = [transport.input(), stt, aggregators.user(), llm, tts, transport.output(), aggregators.assistant()]
    worker = PipelineWorker(
        Pipeline(processors),
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
        enable_rtvi=False,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
    )

    @transport.event_handler("on_client_disconnected")
    async def on_client_disconnected(_transport: Any, _client: Any) -> None:
        await worker.cancel()

    return worker


async def main(url: str, key: str) -> None:
    """Serve until ended."""
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    app = FastAPI()

    @app.websocket("/")
    async def call(websocket: WebSocket) -> None:
        await websocket.accept()
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(pipeline(websocket, url, key))
        await runner.run()

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws_per_message_deflate=False))
    sys.stdout.write(f"listening {listener.getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    if sys.platform != "win32":
        import uvloop

        uvloop.install()
    asyncio.run(main(*sys.argv[1:]))
