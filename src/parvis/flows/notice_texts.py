"""What a notice says, in English and in French, and as JSON for programs. No secret can be in it: none is at hand."""

import json
from datetime import UTC, datetime
from typing import NamedTuple

from parvis.core.money import Money
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
    NoticeKind.BUDGET_REACHED: Letter(
        "'{name}' has spent {limit} this month",
        "'{name}' ({subject}) of tenant '{tenant}' has spent {amount} in this month, and {limit} was to be told of.\n\n"
        "The month ends on {ends}. Whoever may limit it can raise its budget, or lower it, at any time: at once "
        "requests are served or refused by it.",
    ),
    NoticeKind.CREDIT_LOW: Letter(
        "{amount} of credit is left to tenant '{tenant}'",
        "Tenant '{tenant}' has {amount} of credit left; its last order was {limit}.\n\n"
        "When it is spent, requests are refused. Ask your operator for credit before.",
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
    NoticeKind.BUDGET_REACHED: Letter(
        "« {name} » a dépensé {limit} ce mois-ci",
        "« {name} » ({subject}) du tenant « {tenant} » a dépensé {amount} ce mois-ci ; vous vouliez être prévenu à "
        "{limit}.\n\nLe mois se termine le {ends}. Qui peut fixer ses limites peut relever ou baisser ce budget à tout "
        "moment : il s'applique aussitôt aux requêtes.",
    ),
    NoticeKind.CREDIT_LOW: Letter(
        "Il reste {amount} de crédit au tenant « {tenant} »",
        "Il reste {amount} de crédit au tenant « {tenant} » ; sa dernière commande était de {limit}.\n\n"
        "Quand il sera épuisé, les requêtes seront refusées. Demandez du crédit à votre opérateur avant.",
    ),
}
LETTERS = {"en": _ENGLISH, "fr": _FRENCH}


def letter(notice: Notice, language: str) -> Letter:
    """A notice as a mail, in this language or else in English."""
    subject, text = LETTERS.get(language, _ENGLISH)[notice.kind]
    facts = {
        "name": notice.name,
        "key": notice.subject,
        "subject": notice.subject,
        "amount": _amount(notice.amount_pico_euro),
        "limit": _amount(notice.limit_pico_euro),
        "tenant": notice.tenant_id,
        "due": _day(notice.due_unix_ms),
        "ends": _day(notice.ends_unix_ms),
    }
    return Letter(subject.format(**facts), f"{text.format(**facts)}\n\n-- \nParvis, {notice.notice_id}\n")


def event(notice: Notice) -> bytes:
    """A notice as the body of a webhook."""
    said = {
        "id": notice.notice_id,
        "type": f"{'key' if notice.is_of_a_key else 'money'}.{notice.kind}",
        "created_at": _instant(notice.created_unix_ms),
        "data": {
            "organisation_id": notice.organisation_id,
            "tenant_id": notice.tenant_id,
            **(_of_a_key(notice) if notice.is_of_a_key else _of_money(notice)),
            "ends_at": _instant(notice.ends_unix_ms),
        },
    }
    return json.dumps(said, ensure_ascii=False).encode()


def _of_a_key(notice: Notice) -> dict[str, object]:
    return {"key_id": notice.subject, "key_name": notice.name, "due_at": _instant(notice.due_unix_ms)}


def _of_money(notice: Notice) -> dict[str, object]:
    """Whole pico-euro: what was spent and the amount that was reached; of credit what is left and the last order."""
    amounts = {"amount_pico_euro": notice.amount_pico_euro, "limit_pico_euro": notice.limit_pico_euro}
    return {"subject": notice.subject, "name": notice.name, **amounts}


def _amount(pico_euro: int | None) -> str:
    return "-" if pico_euro is None else str(Money(pico_euro))


def _instant(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else f"{datetime.fromtimestamp(unix_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _day(unix_ms: int | None) -> str:
    return "-" if unix_ms is None else f"{datetime.fromtimestamp(unix_ms // 1000, UTC):%Y-%m-%d %H:%M} UTC"
