"""Tools for models whose template ignores them: described in the system text, forced by a JSON schema."""

from typing import Any, Literal

import msgspec

from parvis.wire.chat_shapes import ChatBody, Message, NamedTool, Tool

_INTRODUCTION = "You can call these functions:\n"
_DIRECTION = 'To call one, answer with one JSON object: {"name": <function>, "arguments": {...}}.'
Choice = Literal["none", "auto", "required"] | NamedTool | None


def with_tools_in_prompt(chat: ChatBody) -> None:
    """Rewrite a body in place: tools into the system text, earlier calls and results into words."""
    tools, choice = _offered(chat.tools or [], chat.tool_choice), chat.tool_choice
    chat.messages = [_in_words(message) for message in chat.messages]
    chat.tools = chat.tool_choice = chat.parallel_tool_calls = None
    if choice != "none":
        listing = "\n".join(msgspec.json.encode(tool.function).decode() for tool in tools)
        _add_to_system(chat.messages, f"{_INTRODUCTION}{listing}\n{_DIRECTION}")


def call_schema(tools: list[Tool], choice: Choice) -> dict[str, Any] | None:
    """The schema of a call that is demanded; None when the model may also answer in words."""
    if choice != "required" and not isinstance(choice, NamedTool):
        return None
    shapes = [_call_shape(tool) for tool in _offered(tools, choice)]
    return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}


def _offered(tools: list[Tool], choice: Choice) -> list[Tool]:
    if isinstance(choice, NamedTool):
        return [tool for tool in tools if tool.function.name == choice.function.name]
    return tools


def _call_shape(tool: Tool) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"const": tool.function.name},
            "arguments": tool.function.parameters or {"type": "object"},
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _add_to_system(messages: list[Message], text: str) -> None:
    if messages[0].role == "system":
        messages[0].content = f"{messages[0].content}\n\n{text}"
    else:
        messages.insert(0, Message("system", text))


def _in_words(message: Message) -> Message:
    """Calls and results as the model would have written and read them."""
    if message.role == "tool":
        return Message("user", f"Function result: {message.content}")
    if not message.tool_calls:
        return Message(message.role, message.content)
    calls = "\n".join(
        f'{{"name": "{call.function.name}", "arguments": {call.function.arguments or "{}"}}}'
        for call in message.tool_calls
    )
    return Message("assistant", f"{message.content}\n{calls}" if message.content else calls)
