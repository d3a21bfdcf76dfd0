"""A small reader of server-sent events, written from the specification and from nothing of ours.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6.
Of an event's fields only `data` is kept.
"""

import re

_LINE_END = re.compile(r"\r\n|\n|\r")


def payloads(body: bytes) -> list[str]:
    """The data of each whole event, in order. What no blank line ends is dropped, as browsers do."""
    found: list[str] = []
    data: list[str] = []
    *lines, _unfinished = _LINE_END.split(body.decode().removeprefix("\ufeff"))
    for line in lines:
        name, _, value = line.partition(":")
        if not line and data:
            found.append("\n".join(data))
            data = []
        elif name == "data":
            data.append(value.removeprefix(" "))
    return found
