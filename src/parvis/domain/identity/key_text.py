"""The text of an API key: `sk-parvis_<id>_<secret>_<crc>`. Other credentials have the same form and another prefix.

The checksum (CRC-32 of everything before it, eight hex digits) lets a typing error or a truncated paste be refused
before anything is looked up, and lets scanners tell a real key from a look-alike. It is no security.
"""

import re
import zlib
from typing import NamedTuple

from parvis.core.ids import ALPHABET, Randomness
from parvis.core.secret import Secret

PREFIX = "sk-parvis"
PERSONAL_PREFIX = "pat-parvis"
"""A personal token of a customer's user."""
OPERATOR_PREFIX = "opt-parvis"
"""A personal token of one of the operator's people."""
INVITATION_PREFIX = "inv-parvis"
"""What opens an invitation, once."""
ID_CHARS = 16
SECRET_CHARS = 40
_REST = rf"_([{ALPHABET}]{{{ID_CHARS}}})_([{ALPHABET}]{{{SECRET_CHARS}}}))_([0-9a-f]{{8}})"
_FORM = re.compile(f"({PREFIX}{_REST}")
_FORMS = {prefix: re.compile(f"({prefix}{_REST}") for prefix in (PERSONAL_PREFIX, OPERATOR_PREFIX, INVITATION_PREFIX)}

_ID_FORM = re.compile(f"[{ALPHABET}]{{{ID_CHARS}}}")


class KeyText(NamedTuple):
    """A key whose form and checksum are right. Says nothing about whether it exists."""

    key_id: str
    secret: Secret


def is_key_id(text: str) -> bool:
    """Whether it has the form of a key's id, and so may be shown: anything else could be a secret, or hold one."""
    return _ID_FORM.fullmatch(text) is not None


def read_key(text: str) -> KeyText | None:
    """Split a key; None when its form or its checksum is wrong."""
    form = _FORM.fullmatch(text)
    if form is None or _checksum(form[1]) != form[4]:
        return None
    return KeyText(form[2], Secret(form[3], f"secret of {form[2]}"))


def read_other(prefix: str, text: str) -> KeyText | None:
    """Split a credential that is no API key; None when its prefix, form or checksum is wrong."""
    form = _FORMS[prefix].fullmatch(text)
    if form is None or _checksum(form[1]) != form[4]:
        return None
    return KeyText(form[2], Secret(form[3], f"secret of {form[2]}"))


def write_key(key_id: str, secret: Secret, prefix: str = PREFIX) -> Secret:
    """The text that its owner keeps. Shown once, stored never."""
    body = f"{prefix}_{key_id}_{secret.reveal()}"
    return Secret(f"{body}_{_checksum(body)}", f"key {key_id}")


def new_key(randomness: Randomness) -> KeyText:
    """A fresh id (80 bits) and secret (200 bits)."""
    text = "".join(ALPHABET[byte & 31] for byte in randomness(ID_CHARS + SECRET_CHARS))
    key_id = text[:ID_CHARS]
    return KeyText(key_id, Secret(text[ID_CHARS:], f"secret of {key_id}"))


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
