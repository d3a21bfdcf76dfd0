"""Codes: of an authenticator app, each once; and recovery codes, each once."""

from parvis.core.secret import Secret
from parvis.domain.identity.person import Person
from parvis.domain.identity.second_factor import Factors, new_recovery_codes, plain_recovery_code, step_of
from parvis.domain.vault.sealing import NONCE_BYTES, Place, open_sealed, seal
from parvis.flows.lobby import Lobby

_SEED_VERSION = 1


async def code_right(lobby: Lobby, person: Person, factors: Factors, code: Secret) -> bool:
    """Whether it is a fresh code of their app or one of their recovery codes; it is used up then."""
    text = code.reveal().strip()
    if factors.totp is not None:
        seed = open_seed(lobby, person.user_id, factors.totp.sealed_seed)
        step = step_of(seed, text, lobby.now(), factors.totp.step)
        if step is not None:
            return await lobby.people.use_step(person.user_id, step)
    plain = Secret(plain_recovery_code(text), "recovery code")
    return await lobby.people.use_recovery_code(person.user_id, lobby.digest(person.user_id, plain))


async def renew_recovery_codes(lobby: Lobby, user_id: str) -> tuple[Secret, ...]:
    """Ten others; those before work no more. Shown once, stored as keyed digests."""
    codes = new_recovery_codes(lobby.mint.randomness)
    plain = [Secret(plain_recovery_code(code.reveal()), "recovery code") for code in codes]
    await lobby.people.put_recovery_codes(user_id, [lobby.digest(user_id, one) for one in plain])
    return codes


def seal_seed(lobby: Lobby, user_id: str, seed: Secret) -> bytes:
    """A seed as it is kept; it opens in its owner's row only."""
    nonce = lobby.mint.randomness(NONCE_BYTES)
    return seal(lobby.proofs.seal_key(), seed.reveal().encode(), _place(lobby, user_id), nonce)


def open_seed(lobby: Lobby, user_id: str, sealed: bytes) -> Secret:
    """Raises SealBroken when it was altered, or moved here from another row."""
    return Secret(open_sealed(lobby.proofs.seal_key(), sealed, _place(lobby, user_id)).decode(), "TOTP seed")


def _place(lobby: Lobby, user_id: str) -> Place:
    return Place("", f"people/{lobby.realm}", user_id, "totp_seed", _SEED_VERSION)
