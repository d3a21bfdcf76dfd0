"""What a password must be. Length is what counts; what everybody guesses first is refused."""

import unicodedata

from parvis.core.errors import BadRequest
from parvis.core.secret import Secret
from parvis.domain.identity.person import same_email

CHARS_MIN, CHARS_MAX = 12, 200
_LOCAL_CHARS_MIN = 4
"""A shorter part before the `@` stands in passwords by chance."""
_ROWS = ("0123456789012345678901234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "azertyuiop")
_COMMONEST = frozenset(
    {
        "administrator", "adminadminadmin", "changemechangeme", "changeme1234", "correcthorsebatterystaple",
        "footballfootball", "iloveyou1234", "iloveyouiloveyou", "letmeinletmein", "letmein12345", "motdepasse123",
        "motdepasse1234", "motdepassemotdepasse", "p@ssw0rd1234", "password!234", "password1234", "password12345",
        "password123456", "passwordpassword", "passw0rd1234", "princess1234", "q1w2e3r4t5y6", "q1w2e3r4t5y6u7",
        "1q2w3e4r5t6y", "1q2w3e4r5t6y7u", "1qaz2wsx3edc", "1qaz2wsx3edc4rfv", "qazwsxedcrfv", "qwerty123456",
        "qwertyqwerty", "soleil123456", "superman1234", "thisisapassword", "unbreakable1", "welcome12345",
        "welcome123456", "welcomewelcome", "parvisparvis", "parvis123456",
    }
)  # fmt: skip


def normal(password: Secret) -> Secret:
    """The same characters however a keyboard composed them (NFKC)."""
    return Secret(unicodedata.normalize("NFKC", password.reveal()), "password")


def checked_password(password: Secret, email: str) -> Secret:
    """The password as it is hashed. Raises BadRequest, saying what is wrong and never the password."""
    composed = normal(password)
    text = composed.reveal()
    if not CHARS_MIN <= len(text) <= CHARS_MAX:
        raise BadRequest(f"A password has {CHARS_MIN} to {CHARS_MAX} characters.", param="password")
    small, address = text.casefold(), same_email(email)
    local = address.partition("@")[0]
    if address in small or (len(local) >= _LOCAL_CHARS_MIN and local in small):
        raise BadRequest("A password must not contain your e-mail address.", param="password")
    if _is_common(small):
        raise BadRequest("This password is among the first that others would guess. Take another.", param="password")
    return composed


def _is_common(small: str) -> bool:
    """Known to everybody, few characters over and over, or a row of keys."""
    if small in _COMMONEST or len(set(small)) <= 3:  # noqa: PLR2004 - "abcabcabcabc"
        return True
    return any(small in row or small in row[::-1] for row in _ROWS)
