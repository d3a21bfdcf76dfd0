"""The few pages that the service shows to people itself: plain, without scripts, styles or anything of a request."""

from html import escape
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from parvis.api.web.languages import FRENCH, in_french, preferred

_TITLES = {"en": "You are not signed in", "fr": "Vous n'êtes pas connecté"}
_QUOTE = {"en": "If it stays so, quote this to your operator:", "fr": "Si cela persiste, indiquez à votre opérateur :"}
_PAGE = """<!doctype html>
<html lang="{language}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Parvis</title></head>
<body><main><h1>{title}</h1><p>{sentence}</p><p>{quote} <code>{code}</code>, <code>{request_id}</code></p></main></body>
</html>
"""
_ONWARD = """<!doctype html>
<html lang="{language}">
<head><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={path}"><title>Parvis</title></head>
<body><main><p><a href="{path}">{sentence}</a></p></main></body>
</html>
"""
_SIGNED_IN = {"en": "You are signed in. Go on.", "fr": "Vous êtes connecté. Continuer."}


def wants_page(request: Request) -> bool:
    """Whether a browser asks for somebody who looks at it."""
    return "text/html" in request.headers.get("accept", "")


def page(request: Request, status: HTTPStatus, sentence: str, code: str, headers: dict[str, str]) -> Response:
    """A refusal in the language of the browser. Everything in it is escaped."""
    language = preferred(request.headers.get("accept-language", ""))
    said = (in_french(sentence) if language == FRENCH else None) or sentence
    text = _PAGE.format(
        language=language,
        title=escape(_TITLES[language]),
        sentence=escape(said),
        quote=escape(_QUOTE[language]),
        code=escape(code),
        request_id=escape(request.scope["parvis.request_id"]),
    )
    return HTMLResponse(text, status, {**headers, "content-language": language, "vary": "Accept, Accept-Language"})


def onward(request: Request, path: str) -> Response:
    """Go on to a path of this site, as if the person had followed a link of ours.

    A browser that comes from another site sends no strict cookie, however often it is redirected.
    """
    language = preferred(request.headers.get("accept-language", ""))
    return HTMLResponse(_ONWARD.format(language=language, path=escape(path), sentence=_SIGNED_IN[language]))
