"""How a reply is to be made, and what Mistral is asked for it."""

from msgspec import Struct, structs

from mistral_voice.gateway.session.audio_format import AudioFormat
from mistral_voice.gateway.session.config import OutputModality, patched
from mistral_voice.gateway.session.context import Context
from mistral_voice.gateway.session.errors import Refused
from mistral_voice.gateway.session.inputs import ItemReference, ResponseOptions
from mistral_voice.gateway.session.items import Item, is_system
from mistral_voice.gateway.session.messages import call_rounds, to_messages
from mistral_voice.gateway.session.policy import check_tools, check_words
from mistral_voice.mistral.stream.chat_request import ChatRequest, ChatTools, OneTool, ToolMode

MAX_CALL_ROUNDS = 16
"""After so many replies in a row that called functions, the next one has to do without."""


class ReplySettings(Struct, frozen=True):
    """How a reply is made: the session's settings with the response's own on top.

    `input` takes the conversation's place as what the model reads. `out_of_band`: the conversation doesn't learn of the reply.
    """

    model: str
    voice: str
    system: str
    output: OutputModality
    max_output_tokens: int | None
    metadata: dict[str, str] | None
    lead_ms: float
    audio_format: AudioFormat = AudioFormat.PCM
    tools: ChatTools = ChatTools()
    input: tuple[Item | ItemReference, ...] | None = None
    out_of_band: bool = False

    @property
    def reads_conversation(self) -> bool:
        """Whether the reply depends on what the conversation holds."""
        return self.input is None or any(isinstance(item, ItemReference) for item in self.input)


def plan(context: Context, options: ResponseOptions, *, voice_is_fixed: bool) -> ReplySettings:
    """Return how a reply with these options is made. Raises Refused for options that can't be."""
    config, policy = context.config, context.policy
    voice = config.voice if options.voice is None else policy.resolve_voice(options.voice, "response.audio.output.voice")
    if voice_is_fixed and voice != config.voice:
        raise Refused(
            "cannot_update_voice",
            "The voice can't change once the assistant has spoken in this session.",
            "response.audio.output.voice",
        )
    instructions = config.instructions if options.instructions is None else options.instructions
    max_output_tokens = patched(config.max_output_tokens, options.max_output_tokens, None)
    check_words(instructions, max_output_tokens, "response")
    for field, wanted in (("voice", voice), ("instructions", instructions), ("max_output_tokens", max_output_tokens)):
        param = "response.audio.output.voice" if field == "voice" else f"response.{field}"
        policy.refuse_if_fixed(field, changed=wanted != getattr(config, field), param=param)
    tools = _tools(context, options)
    policy.refuse_if_fixed("tools", changed=tools.tools != config.tools, param="response.tools")
    policy.refuse_if_fixed("tool_choice", changed=tools.choice != config.tool_choice, param="response.tool_choice")
    return ReplySettings(
        model=config.model,
        voice=voice,
        system=policy.system_text(instructions),
        output=options.output or config.output,
        max_output_tokens=max_output_tokens,
        metadata=options.metadata,
        lead_ms=policy.lead_ms,
        audio_format=options.output_format or config.output_format,
        tools=tools,
        input=_input(context, options),
        out_of_band=options.out_of_band,
    )


def going_on(settings: ReplySettings, item_id: str | None) -> ReplySettings:
    """Return how a reply goes on of which this message is written already: input of its own has to show it, as the conversation does."""
    if settings.input is None or item_id is None:
        return settings
    return structs.replace(settings, input=(*settings.input, ItemReference(item_id)))


def request(context: Context, settings: ReplySettings, cache_key: str, presumed: Item | None = None) -> ChatRequest:
    """Return what Mistral is asked. References to items that have gone since are left out.

    `presumed` stands for the item of its id, or follows the newest if there is none.
    """
    conversation = context.conversation
    items = list(conversation.items)
    if presumed is not None:
        items = [presumed if item.id == presumed.id else item for item in items]
        if conversation.get(presumed.id) is None:
            items.append(presumed)
    if settings.input is not None:
        found = (conversation.get(item.id) if isinstance(item, ItemReference) else item for item in settings.input)
        items = [item for item in found if item is not None]
    tools = settings.tools
    if call_rounds(items) >= MAX_CALL_ROUNDS:
        tools = structs.replace(tools, choice=ToolMode.NONE)
    return ChatRequest(settings.model, to_messages(settings.system, items), cache_key, settings.max_output_tokens, tools)


def _tools(context: Context, options: ResponseOptions) -> ChatTools:
    config = context.config
    tools = config.tools if options.tools is None else options.tools
    choice = config.tool_choice if options.tool_choice is None else options.tool_choice
    if options.tool_choice is None and isinstance(choice, OneTool) and choice.name not in {tool.name for tool in tools}:
        choice = ToolMode.AUTO
    check_tools(tools, choice, "response")
    parallel = config.parallel_tool_calls if options.parallel_tool_calls is None else options.parallel_tool_calls
    return ChatTools(tools, choice, parallel)


def _input(context: Context, options: ResponseOptions) -> tuple[Item | ItemReference, ...] | None:
    for item in options.input or ():
        if isinstance(item, ItemReference) and context.conversation.get(item.id) is None:
            raise Refused("invalid_value", f"There is no item with the id {item.id!r} in this conversation.", "response.input")
        if not isinstance(item, ItemReference):
            context.policy.refuse_system_message(is_one=is_system(item), param="response.input")
    return options.input
