"""How this process says no: a sentence for the caller, in OpenAI's shape, with its status."""

from http import HTTPStatus

import msgspec

Json = dict[str, object]


class Refused(Exception):
    """`str()` is a public sentence."""

    def __init__(
        self,
        message: str,
        code: str = "invalid_value",
        *,
        param: str | None = None,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
    ) -> None:
        super().__init__(message)
        self.code, self.param, self.status = code, param, status

    def body(self) -> bytes:
        """The error as OpenAI's clients read it."""
        server = self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        kind = "server_error" if server else "invalid_request_error"
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": error})


def unreadable() -> Refused:
    """Of bytes that are no sound that we know."""
    return Refused(
        "The file holds no sound that can be read: send flac, m4a, mp3, mp4, ogg, wav, webm, aac or aiff.",
        "invalid_audio",
        param="file",
    )


def too_long(ms_max: int) -> Refused:
    """Of more sound than is allowed, or than was paid for."""
    return Refused(
        f"The sound is longer than {ms_max / 1000:g} s, which is allowed here: send it in pieces.",
        "audio_too_long",
        param="file",
    )
