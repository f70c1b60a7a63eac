"""Has replies written: one chat completion for each."""

import asyncio
from contextlib import aclosing
from typing import Protocol

from mistral_voice.gateway.limit import Limit
from mistral_voice.gateway.session.inputs import Input, ReplyCall, ReplyFailed, ReplyFinished, ReplyText, Usage
from mistral_voice.gateway.upstream.answer_limit import AnswerLimit
from mistral_voice.gateway.upstream.kind import UpstreamKind
from mistral_voice.gateway.upstream.tasks import ATTEMPTS, RETRY_SECONDS, Emit, Spawn, UpstreamObserver, fault_of
from mistral_voice.mistral.stream.chat import ChatCallPiece, ChatPiece, ChatText, ChatUsage, stream_chat
from mistral_voice.mistral.stream.chat_request import ChatRequest
from mistral_voice.mistral.stream.client import StreamClient
from mistral_voice.mistral.stream.errors import StreamError


class ReplyObserver(UpstreamObserver, Protocol):
    """Counts as well where a reply had to end."""

    def limit_hit(self, limit: Limit) -> None:
        """A reply was longer than is taken."""


class Replier:
    """The chat streams of one session."""

    def __init__(self, client: StreamClient, emit: Emit, spawn: Spawn, observer: ReplyObserver) -> None:
        self._client = client
        self._emit = emit
        self._spawn = spawn
        self._observer = observer
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, response_id: str, request: ChatRequest) -> None:
        """Have this reply written."""
        task = self._spawn(self._write(response_id, request))
        self._tasks[response_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(response_id, None))

    def drop(self, response_id: str) -> None:
        """Stop writing this reply."""
        task = self._tasks.get(response_id)
        if task is not None:
            task.cancel()

    async def _write(self, response_id: str, request: ChatRequest) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            self._observer.requested(UpstreamKind.CHAT, request.model)
            began = False
            limit = AnswerLimit()
            try:
                async with aclosing(stream_chat(self._client, request)) as answer:
                    async for piece in answer:
                        began = True
                        admitted = limit.admit(piece)
                        self._emit(_input_of(response_id, admitted))
                        if admitted is not piece:
                            self._observer.limit_hit(Limit.REPLY)
                            return
            except StreamError as error:
                self._observer.failed(UpstreamKind.CHAT, error, request.model)
                if began or attempt == ATTEMPTS or not error.is_transient:
                    self._emit(ReplyFailed(response_id, fault_of(error)))
                    return
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return


def _input_of(response_id: str, piece: ChatPiece) -> Input:
    match piece:
        case ChatText(text=text):
            return ReplyText(response_id, text)
        case ChatCallPiece(number=number, name=name, arguments=arguments):
            return ReplyCall(response_id, number, name, arguments)
        case _:
            return ReplyFinished(response_id, piece.finish_reason, _usage(piece.usage))


def _usage(usage: ChatUsage | None) -> Usage | None:
    return None if usage is None else Usage(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)
