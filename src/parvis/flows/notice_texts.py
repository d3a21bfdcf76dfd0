"""What a notice says, in English and in French, and as JSON for programs. No secret can be in it: none is at hand."""

import json
from datetime import UTC, datetime
from typing import NamedTuple

from parvis.domain.identity.notice import Notice, NoticeKind


class Letter(NamedTuple):
    """A mail without its address."""

    subject: str
    text: str


_ENGLISH = {
    NoticeKind.ROTATION_DUE: Letter(
        "API key '{name}': its next secret is due on {due}",
        "The next secret of the API key '{name}' ({key}) of tenant '{tenant}' is due on {due}.\n\n"
        "If `parvis key sync` runs beside your application, it fetches the next secret by itself; then there is "
        "nothing to do. Otherwise run it, or ask POST /v1/keys/sync, before {ends}: then the current secret ends.",
    ),
    NoticeKind.ROTATION_LATE: Letter(
        "API key '{name}' stops working on {ends}",
        "The next secret of the API key '{name}' ({key}) of tenant '{tenant}' was due on {due}, and nobody has fetched "
        "it.\n\nThe current secret works until {ends}. Run `parvis key sync` before, or ask an owner for more time.",
    ),
    NoticeKind.KEY_EXPIRES: Letter(
        "API key '{name}' expires on {ends}",
        "The API key '{name}' ({key}) of tenant '{tenant}' expires on {ends}.\n\n"
        "Whoever still needs it then needs another key, or an owner who moves its end.",
    ),
    NoticeKind.KEY_EXPIRED: Letter(
        "API key '{name}' has expired",
        "The API key '{name}' ({key}) of tenant '{tenant}' has worked no more since {ends}.\n\n"
        "Programs that still use it are refused. Make another key for them.",
    ),
    NoticeKind.KEY_REPORTED: Letter(
        "API key '{name}' leaked and was revoked",
        "Somebody found the API key '{name}' ({key}) of tenant '{tenant}' and reported it. It was revoked at once.\n\n"
        "Find out where it was readable, look through the requests that it made, and make another key.",
    ),
}
_FRENCH = {
    NoticeKind.ROTATION_DUE: Letter(
        "Clé d'API « {name} » : son prochain secret est attendu le {due}",
        "Le prochain secret de la clé d'API « {name} » ({key}) du tenant « {tenant} » est attendu le {due}.\n\n"
        "Si `parvis key sync` tourne à côté de votre application, il ira le chercher tout seul : vous n'avez rien à "
        "faire. Sinon, lancez-le, ou appelez POST /v1/keys/sync, avant le {ends} : le secret actuel prendra alors fin.",
    ),
    NoticeKind.ROTATION_LATE: Letter(
        "La clé d'API « {name} » cessera de fonctionner le {ends}",
        "Le prochain secret de la clé d'API « {name} » ({key}) du tenant « {tenant} » était attendu le {due}, et "
        "personne n'est venu le chercher.\n\nLe secret actuel fonctionne jusqu'au {ends}. Lancez `parvis key sync` "
        "d'ici là, ou demandez un délai à un propriétaire.",
    ),
    NoticeKind.KEY_EXPIRES: Letter(
        "La clé d'API « {name} » expire le {ends}",
        "La clé d'API « {name} » ({key}) du tenant « {tenant} » expire le {ends}.\n\n"
        "Si vous en avez encore besoin après, il vous faudra une autre clé, ou une date repoussée par un propriétaire.",
    ),
    NoticeKind.KEY_EXPIRED: Letter(
        "La clé d'API « {name} » a expiré",
        "La clé d'API « {name} » ({key}) du tenant « {tenant} » ne fonctionne plus depuis le {ends}.\n\n"
        "Les programmes qui l'utilisent encore sont refusés. Créez-leur une autre clé.",
    ),
    NoticeKind.KEY_REPORTED: Letter(
        "La clé d'API « {name} » a fuité et a été révoquée",
        "Quelqu'un a trouvé la clé d'API « {name} » ({key}) du tenant « {tenant} » et l'a signalée. Elle a été "
        "révoquée aussitôt.\n\nCherchez où elle était lisible, relisez les requêtes qu'elle a faites, et créez une "
        "autre clé.",
    ),
}
LETTERS = {"en": _ENGLISH, "fr": _FRENCH}


def letter(notice: Notice, language: str) -> Letter:
    """A notice as a mail, in this language or else in English."""
    subject, text = LETTERS.get(language, _ENGLISH)[notice.kind]
    facts = {
        "name": notice.name,
        "key": notice.subject,
        "tenant": notice.tenant_id,
        "due": _day(notice.due_unix_ms),
        "ends": _day(notice.ends_unix_ms),
    }
    return Letter(subject.format(**facts), f"{text.format(**facts)}\n\n-- \nParvis, {notice.notice_id}\n")


def event(notice: Notice) -> bytes:
    """A notice as the body of a webhook."""
    said = {
        "id": notice.notice_id,
        "type": f"key.{notice.kind}",
        "created_at": _instant(notice.created_unix_ms),
        "data": {
            "organisation_id": notice.organisation_id,
            "tenant_id": notice.tenant_id,
            "key_id": notice.subject,
            "key_name": notice.name,
            "due_at": _instant(notice.due_unix_ms),
            "ends_at": _instant(notice.ends_unix_ms),
        },
    }
    return json.dumps(said, ensure_ascii=False).encode()


def _instant(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else f"{datetime.fromtimestamp(unix_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _day(unix_ms: int | None) -> str:
    return "-" if unix_ms is None else f"{datetime.fromtimestamp(unix_ms // 1000, UTC):%Y-%m-%d %H:%M} UTC"
