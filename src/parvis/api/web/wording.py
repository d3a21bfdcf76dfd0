"""What an answer says in words, for who reads it: a state and why, in the language that the request asks for."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from parvis.api.web.languages import FRENCH, in_french, preferred, worded
from parvis.api.web.shapes import Json
from parvis.core.errors import Failure


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads an answer."""

    language: str

    def told(self, said: str) -> str:
        """A sentence of ours in the reader's language; as it is where the catalogue lacks it."""
        return worded(said, self.language).text

    def refusal(self, failure: Failure) -> str:
        """What a story said no with, inside of an answer that is none."""
        return (in_french(str(failure)) if self.language == FRENCH else None) or str(failure)

    def reason(self, said: str) -> Json:
        """`why` in the reader's language; and its code and facts, for who words it anew."""
        found = worded(said, self.language)
        return {"why": found.text, "why_code": found.code, "why_facts": dict(found.facts)}


def reader_of(request: Request, response: Response) -> Reader:
    """By the request's headers; the answer's say that it depends on them."""
    language = preferred(request.headers.get("accept-language", ""))
    response.headers["content-language"] = language
    response.headers["vary"] = "Accept-Language"
    return Reader(language)


TheReader = Annotated[Reader, Depends(reader_of)]
