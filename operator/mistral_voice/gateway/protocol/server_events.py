"""Events of the session into JSON text, each with an id of its own."""

from collections.abc import Callable
from typing import Any

import msgspec
import pybase64

from mistral_voice.gateway.protocol.items import wire_item
from mistral_voice.gateway.protocol.session_object import wire_format, wire_session, wire_token_limit
from mistral_voice.gateway.session import events
from mistral_voice.gateway.session.config import OutputModality
from mistral_voice.gateway.session.errors import Fault
from mistral_voice.gateway.session.items import PartKind
from mistral_voice.mistral.stream.errors import FaultKind


class EventWriter:
    """Writes one session's events. `prefix` makes its event ids its own."""

    def __init__(self, prefix: str) -> None:
        self._prefix = f"event_{prefix}"
        self._count = 0
        self._encoder = msgspec.json.Encoder()

    def write(self, event: events.Event) -> bytes:
        """Return an event as JSON text."""
        self._count += 1
        fields = _WRITERS[type(event)](event)
        fields["event_id"] = f"{self._prefix}{self._count}"
        return self._encoder.encode(fields)


def _session(event_type: str) -> Callable[[Any], dict[str, Any]]:
    return lambda event: {"type": event_type, "session": wire_session(event.session)}


def _error(event: events.ErrorOccurred) -> dict[str, Any]:
    return {
        "type": "error",
        "error": {
            "type": event.type,
            "code": event.code,
            "message": event.message,
            "param": event.param,
            "event_id": event.client_event_id,
        },
    }


def _speech_started(event: events.SpeechStarted) -> dict[str, Any]:
    return {"type": "input_audio_buffer.speech_started", "item_id": event.item_id, "audio_start_ms": event.audio_start_ms}


def _speech_stopped(event: events.SpeechStopped) -> dict[str, Any]:
    return {"type": "input_audio_buffer.speech_stopped", "item_id": event.item_id, "audio_end_ms": event.audio_end_ms}


def _timed_out(event: events.IdleTimedOut) -> dict[str, Any]:
    return {
        "type": "input_audio_buffer.timeout_triggered",
        "item_id": event.item_id,
        "audio_start_ms": event.audio_start_ms,
        "audio_end_ms": event.audio_end_ms,
    }


def _committed(event: events.AudioCommitted) -> dict[str, Any]:
    return {"type": "input_audio_buffer.committed", "item_id": event.item_id, "previous_item_id": event.previous_item_id}


def _cleared(_: events.AudioCleared) -> dict[str, Any]:
    return {"type": "input_audio_buffer.cleared"}


def _item(event_type: str) -> Callable[[Any], dict[str, Any]]:
    return lambda event: {"type": event_type, "previous_item_id": event.previous_item_id, "item": wire_item(event.item)}


def _item_deleted(event: events.ItemDeleted) -> dict[str, Any]:
    return {"type": "conversation.item.deleted", "item_id": event.item_id}


def _item_retrieved(event: events.ItemRetrieved) -> dict[str, Any]:
    return {"type": "conversation.item.retrieved", "item": wire_item(event.item)}


def _item_truncated(event: events.ItemTruncated) -> dict[str, Any]:
    return {
        "type": "conversation.item.truncated",
        "item_id": event.item_id,
        "content_index": event.content_index,
        "audio_end_ms": event.audio_end_ms,
    }


def _transcription_delta(event: events.TranscriptionDelta) -> dict[str, Any]:
    return {
        "type": "conversation.item.input_audio_transcription.delta",
        "item_id": event.item_id,
        "content_index": 0,
        "delta": event.delta,
    }


def _transcription_completed(event: events.TranscriptionCompleted) -> dict[str, Any]:
    return {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": event.item_id,
        "content_index": 0,
        "transcript": event.transcript,
        "usage": {"type": "duration", "seconds": event.seconds},
    }


def _transcription_failed(event: events.TranscriptionFailed) -> dict[str, Any]:
    return {
        "type": "conversation.item.input_audio_transcription.failed",
        "item_id": event.item_id,
        "content_index": 0,
        "error": {**_wire_fault(event.fault), "param": None},
    }


def _response(event_type: str) -> Callable[[Any], dict[str, Any]]:
    return lambda event: {"type": event_type, "response": _wire_response(event.response)}


def _output_item(event_type: str) -> Callable[[Any], dict[str, Any]]:
    return lambda event: {
        "type": event_type,
        "response_id": event.response_id,
        "output_index": event.output_index,
        "item": wire_item(event.item),
    }


def _in_part(event_type: str, event: Any) -> dict[str, Any]:
    return {
        "type": event_type,
        "response_id": event.response_id,
        "item_id": event.item_id,
        "output_index": event.output_index,
        "content_index": 0,
    }


def _part(event_type: str) -> Callable[[Any], dict[str, Any]]:
    return lambda event: {**_in_part(event_type, event), "part": _wire_part(event.kind, getattr(event, "text", ""))}


def _text_delta(event: events.TextDelta) -> dict[str, Any]:
    return {**_in_part(f"response.{_TEXT_NAMES[event.kind]}.delta", event), "delta": event.delta}


def _text_done(event: events.TextDone) -> dict[str, Any]:
    field = "text" if event.kind is PartKind.OUTPUT_TEXT else "transcript"
    return {**_in_part(f"response.{_TEXT_NAMES[event.kind]}.done", event), field: event.text}


def _audio_delta(event: events.AudioDelta) -> dict[str, Any]:
    return {**_in_part("response.output_audio.delta", event), "delta": pybase64.b64encode_as_string(event.audio)}


def _audio_done(event: events.AudioDone) -> dict[str, Any]:
    return _in_part("response.output_audio.done", event)


def _in_call(event_type: str, event: Any) -> dict[str, Any]:
    return {
        "type": event_type,
        "response_id": event.response_id,
        "item_id": event.item_id,
        "output_index": event.output_index,
        "call_id": event.call_id,
    }


def _arguments_delta(event: events.ArgumentsDelta) -> dict[str, Any]:
    return {**_in_call("response.function_call_arguments.delta", event), "delta": event.delta}


def _arguments_done(event: events.ArgumentsDone) -> dict[str, Any]:
    return {**_in_call("response.function_call_arguments.done", event), "name": event.name, "arguments": event.arguments}


def _wire_part(kind: PartKind, text: str) -> dict[str, Any]:
    return {"type": "text", "text": text} if kind is PartKind.OUTPUT_TEXT else {"type": "audio", "transcript": text}


def _wire_fault(fault: Fault) -> dict[str, Any]:
    kind = "rate_limit_error" if fault.kind is FaultKind.RATE_LIMITED else "server_error"
    return {"type": kind, "code": fault.code, "message": fault.message}


def _wire_response(view: events.ResponseView) -> dict[str, Any]:
    return {
        "object": "realtime.response",
        "id": view.id,
        "conversation_id": view.conversation_id,
        "status": view.status.value,
        "status_details": _wire_status(view),
        "output": [wire_item(item) for item in view.output],
        "output_modalities": [view.modality.value],
        "max_output_tokens": wire_token_limit(view.max_output_tokens),
        "audio": {"output": {"format": wire_format(view.audio_format), "voice": view.voice}}
        if view.modality is OutputModality.AUDIO
        else None,
        "metadata": view.metadata,
        "usage": None if view.usage is None else _wire_usage(view.usage),
    }


def _wire_status(view: events.ResponseView) -> dict[str, Any] | None:
    if view.status in (events.ResponseStatus.IN_PROGRESS, events.ResponseStatus.COMPLETED):
        return None
    details: dict[str, Any] = {"type": view.status.value}
    if view.reason is not None:
        details["reason"] = view.reason.value
    if view.fault is not None:
        details["error"] = _wire_fault(view.fault)
    return details


def _wire_usage(usage: events.ResponseUsage) -> dict[str, Any]:
    output_tokens = usage.text.output_tokens + usage.audio_tokens
    cached = usage.text.cached_tokens
    return {
        "total_tokens": usage.text.input_tokens + output_tokens,
        "input_tokens": usage.text.input_tokens,
        "output_tokens": output_tokens,
        "input_token_details": {
            "text_tokens": usage.text.input_tokens,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": cached,
            "cached_tokens_details": {"text_tokens": cached, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": usage.text.output_tokens, "audio_tokens": usage.audio_tokens},
    }


_TEXT_NAMES = {PartKind.OUTPUT_TEXT: "output_text", PartKind.OUTPUT_AUDIO: "output_audio_transcript"}
_WRITERS: dict[type, Callable[[Any], dict[str, Any]]] = {
    events.SessionCreated: _session("session.created"),
    events.SessionUpdated: _session("session.updated"),
    events.ErrorOccurred: _error,
    events.SpeechStarted: _speech_started,
    events.SpeechStopped: _speech_stopped,
    events.IdleTimedOut: _timed_out,
    events.AudioCommitted: _committed,
    events.AudioCleared: _cleared,
    events.ItemAdded: _item("conversation.item.added"),
    events.ItemDone: _item("conversation.item.done"),
    events.ItemDeleted: _item_deleted,
    events.ItemRetrieved: _item_retrieved,
    events.ItemTruncated: _item_truncated,
    events.TranscriptionDelta: _transcription_delta,
    events.TranscriptionCompleted: _transcription_completed,
    events.TranscriptionFailed: _transcription_failed,
    events.ResponseCreated: _response("response.created"),
    events.ResponseDone: _response("response.done"),
    events.OutputItemAdded: _output_item("response.output_item.added"),
    events.OutputItemDone: _output_item("response.output_item.done"),
    events.ContentPartAdded: _part("response.content_part.added"),
    events.ContentPartDone: _part("response.content_part.done"),
    events.TextDelta: _text_delta,
    events.TextDone: _text_done,
    events.AudioDelta: _audio_delta,
    events.AudioDone: _audio_done,
    events.ArgumentsDelta: _arguments_delta,
    events.ArgumentsDone: _arguments_done,
}
