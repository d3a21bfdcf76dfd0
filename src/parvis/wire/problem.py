"""The protocol's error body: one key `error` with four keys, always all of them."""

import msgspec


def problem_json(message: str, kind: str, code: str | None, param: str | None) -> bytes:
    """`{"error": {"message", "type", "param", "code"}}`."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})
