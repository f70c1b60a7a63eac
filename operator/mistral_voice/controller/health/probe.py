"""The custom health check: inference-free, and one deadline over all of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import httpx2

from mistral_voice.contract.integration import MISTRAL_CONVERSATIONAL
from mistral_voice.contract.secret import Secret
from mistral_voice.controller.health.judgement import Answers, Unfinished, judge
from mistral_voice.controller.health.result import ProbeResult
from mistral_voice.controller.health.target import ProbeTarget
from mistral_voice.mistral.errors import MistralError, Unauthorized
from mistral_voice.mistral.rest import MistralRest

DEADLINE_MS: Final = MISTRAL_CONVERSATIONAL.health_check.timeout_ms
"""The contract's deadline over the whole check."""
SECOND_QUESTION_AFTER_SECONDS: Final = 0.25
"""Between a 401 and asking once more (ContractSpec's pause between attempts)."""


@dataclass
class _Gathered:
    answers: dict[str, Any] = field(default_factory=dict)

    async def ask(self, name: str, question: Callable[[], Awaitable[Any]]) -> None:
        self.answers[name] = await _answer(question)

    def get(self, name: str) -> Any:
        return self.answers.get(name, Unfinished())


async def probe(
    http: httpx2.AsyncClient,
    target: ProbeTarget,
    key: Secret,
    now: Callable[[], datetime],
    deadline_ms: int = DEADLINE_MS,
) -> ProbeResult:
    """Check one key against one target and say what was found. Nothing that Mistral or the way to it does is raised.

    The questions are asked at the same time. What was answered before the deadline counts even if the rest was not.
    """
    rest = MistralRest(http, target.base_url, key)
    gathered = _Gathered()
    began = time.monotonic()
    try:
        async with asyncio.timeout(deadline_ms / 1000), asyncio.TaskGroup() as questions:
            questions.create_task(gathered.ask("whoami", rest.whoami))
            questions.create_task(gathered.ask("models", rest.models))
            questions.create_task(gathered.ask("voice", lambda: rest.find_voice(target.voice)))
    except TimeoutError:
        pass  # The answers that are missing say so.
    took_ms = round((time.monotonic() - began) * 1000)
    answers = Answers(whoami=gathered.get("whoami"), models=gathered.get("models"), voice=gathered.get("voice"))
    checked_at = now()
    found = judge(target, answers, checked_at, deadline_ms)
    return ProbeResult(
        code=found.code,
        message=found.message,
        checked_at=checked_at,
        latency_ms=took_ms,
        key_accepted=found.key_accepted,
        retry_after_seconds=found.retry_after_seconds,
        warnings=found.warnings,
    )


async def _answer(question: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await question()
    except Unauthorized:
        # A key that was made a moment ago may not be known everywhere yet.
        await asyncio.sleep(SECOND_QUESTION_AFTER_SECONDS)
    except MistralError as error:
        return error
    try:
        return await question()
    except MistralError as error:
        return error
