"""Second factors: codes from an app (TOTP, RFC 6238), passkeys, and recovery codes for a lost device."""

import base64
import hmac
from dataclasses import dataclass
from enum import StrEnum

import pyotp

from parvis.core.ids import ALPHABET, Randomness
from parvis.core.secret import Secret

STEP_S = 30
SEED_BYTES = 20
"""160 bits, as RFC 4226 recommends."""
RECOVERY_CODES = 10
RECOVERY_CHARS = 16
"""80 random bits: nobody guesses one, so a keyed hash is enough."""
CHALLENGE_BYTES = 32
CHALLENGE_MS = 5 * 60_000
_GROUP = 4
_MS = 1000
_CODE_CHARS = 6


@dataclass(frozen=True, slots=True)
class Totp:
    """The codes of one app. `sealed_seed` opens only in its owner's row."""

    sealed_seed: bytes
    step: int
    """Of the last code that was accepted: it and those before it are not accepted again."""
    enrolled_unix_ms: int


@dataclass(frozen=True, slots=True)
class Passkey:
    """A credential of WebAuthn. The private key never leaves its authenticator."""

    credential_id: str
    """base64url, without padding."""
    name: str
    public_key: bytes
    """COSE."""
    sign_count: int
    created_unix_ms: int
    used_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Assertion:
    """A passkey has signed a challenge."""

    sign_count: int
    user_verified: bool
    """Whether the authenticator knew its user, by a finger or a PIN."""


@dataclass(frozen=True, slots=True)
class Factors:
    """What a person signs in with. No hash and no seed leaves the stories in it."""

    password_hash: str = ""
    totp: Totp | None = None
    passkeys: tuple[Passkey, ...] = ()
    recovery_codes_left: int = 0

    @property
    def has_second(self) -> bool:
        """Whether there is anything to show beside the password."""
        return self.totp is not None or bool(self.passkeys)


class Purpose(StrEnum):
    """What a challenge was made for; it answers nothing else."""

    REGISTER = "register"
    SIGN_IN = "sign_in"
    TOTP = "totp"


@dataclass(frozen=True, slots=True)
class Challenge:
    """Something that must be answered within minutes, once."""

    challenge_id: str
    purpose: Purpose
    user_id: str
    """Whose it is; empty where anybody may answer, because the answer says who it is."""
    value: bytes
    """Random bytes of WebAuthn, or a sealed seed that waits for its first code."""
    ends_unix_ms: int


def step_of(seed: Secret, code: str, now_unix_ms: int, last_step: int) -> int | None:
    """The step whose code this is: the current one, the one before or the one after, and none up to `last_step`.

    None when it is no such code. Every candidate is compared in constant time.
    """
    app = pyotp.TOTP(seed.reveal(), interval=STEP_S)
    now_step = now_unix_ms // _MS // STEP_S
    presented = code.replace(" ", "")
    if len(presented) != _CODE_CHARS or not presented.isascii():
        return None
    found = None
    for step in (now_step - 1, now_step, now_step + 1):
        same = hmac.compare_digest(app.generate_otp(step), presented)
        if same and step > last_step:
            found = step
    return found


def new_seed(randomness: Randomness) -> Secret:
    """A seed in base 32, as apps take it."""
    return Secret(base64.b32encode(randomness(SEED_BYTES)).decode(), "TOTP seed")


def enrolment_uri(seed: Secret, email: str, issuer: str) -> Secret:
    """`otpauth://totp/...`: what a QR code shows to the app."""
    return Secret(
        pyotp.TOTP(seed.reveal(), interval=STEP_S).provisioning_uri(name=email, issuer_name=issuer), "enrolment"
    )


def new_recovery_codes(randomness: Randomness) -> tuple[Secret, ...]:
    """Ten codes like `abcd-efgh-jkmn-pqrs`, each good once."""
    return tuple(_recovery_code(randomness(RECOVERY_CHARS)) for _ in range(RECOVERY_CODES))


def plain_recovery_code(code: str) -> str:
    """A code as it is hashed, however it was typed."""
    return code.replace("-", "").replace(" ", "").lower()


def _recovery_code(drawn: bytes) -> Secret:
    text = "".join(ALPHABET[byte & 31] for byte in drawn)
    return Secret("-".join(text[n : n + _GROUP] for n in range(0, len(text), _GROUP)), "recovery code")
