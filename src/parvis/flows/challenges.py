"""Challenges: kept here, answered once, within five minutes, by whom they were made for."""

from dataclasses import dataclass

from parvis.core.errors import NotAuthenticated
from parvis.core.ids import new_id
from parvis.domain.identity.second_factor import CHALLENGE_BYTES, Challenge, Passkey, Purpose
from parvis.flows.lobby import Lobby
from parvis.flows.sign_in_ports import Json


@dataclass(frozen=True, slots=True)
class Answered:
    """A passkey has answered."""

    user_id: str
    user_verified: bool


async def new_challenge(
    lobby: Lobby, purpose: Purpose, user_id: str, life_ms: int, value: bytes | None = None
) -> Challenge:
    """Random bytes, or a value that waits for its proof."""
    now = lobby.now()
    drawn = lobby.mint.randomness(CHALLENGE_BYTES) if value is None else value
    challenge_id = new_id("chl", now, lobby.mint.randomness)
    challenge = Challenge(challenge_id, purpose, user_id, drawn, now + life_ms)
    await lobby.people.put_challenge(challenge, now)
    return challenge


async def taken(lobby: Lobby, challenge_id: str, purpose: Purpose, user_id: str) -> Challenge | None:
    """A challenge that was made for this; it is used up, whatever becomes of it."""
    found = await lobby.people.take_challenge(challenge_id, lobby.now())
    fits = found is not None and found.purpose is purpose and found.user_id == user_id
    return found if fits else None


async def signed(lobby: Lobby, challenge_id: str, response: Json) -> Answered | str:
    """Who signed a sign-in challenge, or why nobody did."""
    challenge = await lobby.people.take_challenge(challenge_id, lobby.now())
    if challenge is None or challenge.purpose is not Purpose.SIGN_IN:
        return "challenge unknown, used or over"
    try:
        found = await lobby.people.passkey(lobby.proofs.passkeys.credential_id(response))
        if found is None or challenge.user_id not in ("", found[0]):
            return "passkey unknown"
        return await _verified(lobby, challenge, response, *found)
    except NotAuthenticated:
        return "passkey signature wrong"


async def _verified(
    lobby: Lobby, challenge: Challenge, response: Json, user_id: str, passkey: Passkey
) -> Answered | str:
    assertion = lobby.proofs.passkeys.asserted(response, challenge.value, passkey)
    if not await lobby.people.use_passkey(passkey.credential_id, assertion.sign_count, lobby.now()):
        return "passkey copied: its counter went back"
    return Answered(user_id, assertion.user_verified)
