"""`mistral-voice talk`: ask an integration a spoken question, and hear its spoken reply."""

import argparse
import asyncio
import json
import math
import os
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from yarl import URL

from mistral_voice.cli.talk_dialogue import Dialogue, Question, Talk
from mistral_voice.cli.talk_errors import TalkError, TalkUsageError
from mistral_voice.contract.secret import Secret
from mistral_voice.runtime import redirects

_TOKEN_VARIABLE = "MISTRAL_VOICE_TOKEN"  # noqa: S105 - a variable's name
_CONNECT_SECONDS = 10.0
_UNAUTHORIZED, _UPGRADE_REQUIRED = 401, 426


@dataclass(frozen=True)
class Settings:
    """What was asked for on the command line."""

    url: str
    token: Secret
    question_file: Path | None
    text: str
    reply_file: Path | None
    push_to_talk: bool
    model: str
    as_json: bool
    ca_file: Path | None
    timeout_seconds: float


def main(argv: Sequence[str]) -> int:
    """Ask the question; returns 0 with a reply, 1 without, 2 if called wrongly."""
    try:
        settings = _settings(argv)
        dialogue = asyncio.run(_talk(settings))
        if settings.reply_file is not None:
            from mistral_voice.cli.talk_wav import write_reply

            write_reply(settings.reply_file, bytes(dialogue.audio))
    except TalkUsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except TalkError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(_report_json(settings, dialogue) if settings.as_json else _report(settings, dialogue))
    return 0


async def _talk(settings: Settings) -> Dialogue:
    question = _question(settings)
    url = URL(settings.url)
    if settings.model:
        url = url.update_query(model=settings.model)
    async with aiohttp.ClientSession(trust_env=False, trace_configs=[redirects.none_followed()]) as http:
        socket = await _connect(http, url, settings)
        try:
            return await Talk(socket, question).run(settings.timeout_seconds)
        finally:
            await socket.close()


async def _connect(http: aiohttp.ClientSession, url: URL, settings: Settings) -> aiohttp.ClientWebSocketResponse[bool]:
    context: ssl.SSLContext | bool = True
    if settings.ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=settings.ca_file)
        except OSError as error:
            raise TalkUsageError(
                f"The CA file {settings.ca_file} can't be used: {error.strerror or 'it holds no PEM certificate'}."
            ) from None
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await http.ws_connect(url, headers=_bearer(settings.token), ssl=context, max_msg_size=16 * 1024 * 1024)
    except aiohttp.WSServerHandshakeError as error:
        raise TalkError(_refused(error.status, await _reason(http, url, settings.token, context))) from None
    except aiohttp.ClientConnectorCertificateError:
        raise TalkError(f"The TLS certificate of {url.host} is not trusted; give its authority with --ca-file.") from None
    except aiohttp.ClientSSLError:
        raise TalkError(f"{url.host} does not speak TLS on port {url.port}; is it ws:// instead of wss://?") from None
    except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError) as error:
        raise TalkError(
            f"No connection to {url.host}:{url.port}: {_cause(error)}. Is the gateway running, and the port right?{_forwarding_hint(url)}"
        ) from None
    except aiohttp.ClientError as error:
        raise TalkError(f"{url.host}:{url.port} doesn't answer as a WebSocket server: {type(error).__name__}.") from None
    except TimeoutError:
        raise TalkError(f"{url.host}:{url.port} did not answer within {_CONNECT_SECONDS:g} seconds.") from None


def _forwarding_hint(url: URL) -> str:
    if url.host not in ("127.0.0.1", "localhost", "::1"):
        return ""
    return " If a `kubectl port-forward` led there, start it again: it ends when its pod is replaced."


def _cause(error: Exception) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno and error.errno > 0 else "it can't be reached"


def _bearer(token: Secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}"}


async def _reason(http: aiohttp.ClientSession, url: URL, token: Secret, context: ssl.SSLContext | bool) -> str:
    """Return the gateway's sentence about a refused handshake: it answers a plain request for the same address alike. Empty: none."""
    plain = url.with_scheme("https" if url.scheme in ("wss", "https") else "http")
    try:
        async with asyncio.timeout(_CONNECT_SECONDS), http.get(plain, headers=_bearer(token), ssl=context) as answer:
            message = (await answer.json())["error"]["message"]
            return message if answer.status != _UPGRADE_REQUIRED and isinstance(message, str) else ""
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError):
        return ""


def _refused(status: int, reason: str) -> str:
    """Return what became of a handshake: with the gateway's own reason, or else what it usually is."""
    what, usually = {
        401: ("The token was refused (401).", ""),
        403: ("The gateway refused the session (403).", "The integration doesn't offer the model."),
        404: ("There is no Realtime endpoint at this address (404).", "The path is /v1/realtime."),
        503: ("The gateway takes no new session (503).", "It is full or being stopped."),
    }.get(status, (f"The gateway refused the connection with status {status}.", ""))
    where = "The integration's token is the key `token` of its Secret <name>-voice-token." if status == _UNAUTHORIZED else ""
    return " ".join(text for text in (what, reason or usually, where) if text)


def _question(settings: Settings) -> Question:
    if settings.question_file is None:
        return Question(text=settings.text)
    from mistral_voice.cli.talk_wav import read_question

    return Question(audio=read_question(settings.question_file), push_to_talk=settings.push_to_talk)


def _settings(argv: Sequence[str]) -> Settings:
    parser = argparse.ArgumentParser(prog="mistral-voice talk", description="Ask an integration a question, and hear its spoken reply.")
    parser.add_argument("--url", required=True, help="address of the integration, such as ws://127.0.0.1:8080/v1/realtime")
    parser.add_argument("--token-file", type=Path, help="file that holds the integration's token")
    parser.add_argument("--token-env", default=_TOKEN_VARIABLE, metavar="VAR", help=f"variable that holds it (default: {_TOKEN_VARIABLE})")
    parser.add_argument(
        "--in",
        dest="question_file",
        type=Path,
        metavar="WAV",
        help="the spoken question, a 16-bit WAV file (such as `espeak-ng -w` or a phone's recorder makes)",
    )
    parser.add_argument("--text", default="", help="ask in writing instead")
    parser.add_argument("--out", dest="reply_file", type=Path, metavar="WAV", help="where to write the spoken reply")
    parser.add_argument("--push-to-talk", action="store_true", help="end the turn by a commit instead of by voice detection")
    parser.add_argument("--model", default="", help="ask this model, if the integration offers it")
    parser.add_argument("--ca-file", type=Path, help="certificate authority of a wss:// address (PEM)")
    parser.add_argument("--timeout-seconds", type=_seconds, default=120.0, help="give up after so long (default: 120)")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print the result as one line of JSON")
    given = parser.parse_args(argv)
    if bool(given.question_file) == bool(given.text):
        raise TalkUsageError("Ask with --in question.wav or with --text, one of the two.")
    reply_file: Path | None = given.reply_file
    if reply_file is not None and not reply_file.parent.is_dir():
        raise TalkUsageError(f"There is no folder {reply_file.parent} for {reply_file.name}; make it, or name another with --out.")
    return Settings(
        url=_url(given.url),
        token=_token(given.token_file, given.token_env),
        question_file=given.question_file,
        text=given.text,
        reply_file=reply_file,
        push_to_talk=given.push_to_talk,
        model=given.model,
        as_json=given.as_json,
        ca_file=given.ca_file,
        timeout_seconds=given.timeout_seconds,
    )


def _seconds(text: str) -> float:
    value = float(text) if text.replace(".", "", 1).isdecimal() else math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time to wait; give seconds, more than 0.")
    return value


def _url(text: str) -> str:
    try:
        url = URL(text)
    except ValueError:
        raise TalkUsageError(f"{text!r} is no address; it looks like ws://host:8080/v1/realtime.") from None
    if url.scheme not in ("ws", "wss", "http", "https") or not url.host:
        raise TalkUsageError(f"{text!r} is no address; it looks like ws://host:8080/v1/realtime.")
    return str(url.with_path("/v1/realtime") if url.path in ("", "/") else url)


def _token(file: Path | None, variable: str) -> Secret:
    if file is None:
        value = os.environ.get(variable, "")
        where = f"the variable {variable} is not set"
    else:
        try:
            value = file.read_text()
        except OSError as error:
            raise TalkUsageError(f"The token file {file} can't be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise TalkUsageError(f"The token file {file} is not text; is it the right file?") from None
        where = f"{file} is empty"
    value = value.strip()
    if not value:
        raise TalkUsageError(f"There is no token: {where}. Give --token-file, or --token-env with the name of a variable.")
    if not (value.isascii() and value.isprintable()):
        raise TalkUsageError("The token holds characters that no token has; is it the right file?")
    return Secret(value)


def _report(settings: Settings, dialogue: Dialogue) -> str:
    lines = []
    if dialogue.heard:
        lines.append(f"you    {dialogue.heard}")
    if settings.text:
        lines.append(f"you    {settings.text}")
    lines.append(f"reply  {dialogue.answer or '(no words)'}")
    timings = dialogue.timings.since_end_of_speech_ms()
    names = {"transcript": "transcript", "first_text": "first words", "first_audio": "first audio", "total": "whole reply"}
    said = "question's end" if settings.question_file else "question"
    lines.append(f"time   from the {said}: " + ", ".join(f"{names[name]} {value} ms" for name, value in timings.items()))
    if settings.reply_file is not None:
        lines.append(f"audio  {settings.reply_file} ({len(dialogue.audio) / 48_000:.1f} s)")
    return "\n".join(lines) + "\n"


def _report_json(settings: Settings, dialogue: Dialogue) -> str:
    return (
        json.dumps(
            {
                "heard": dialogue.heard or settings.text,
                "reply": dialogue.answer,
                "timings_ms": dialogue.timings.since_end_of_speech_ms(),
                "audio_seconds": round(len(dialogue.audio) / 48_000, 3),
                "audio_file": str(settings.reply_file) if settings.reply_file else None,
                "session": dialogue.session_id,
                "model": dialogue.model,
                "voice": dialogue.voice,
                "usage": dialogue.usage,
            },
            ensure_ascii=False,
        )
        + "\n"
    )
