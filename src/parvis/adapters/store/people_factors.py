"""What people sign in with. Whatever can be used once is used in one statement, whose count says who came first."""

from collections.abc import Sequence

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from parvis.adapters.store.people_part import Part, active_person, has_passkey, withdraw_links
from parvis.adapters.store.people_tables import PeopleTables
from parvis.core.errors import Conflict, NotFound, Unavailable
from parvis.domain.identity.second_factor import Challenge, Factors, Passkey, Purpose, Totp

CHALLENGES_MAX = 10_000
"""Anybody may ask for one, so there is an end to them. Each lives for minutes."""
_NO_TOTP = {"totp_sealed_seed": None, "totp_step": None, "totp_enrolled_unix_ms": None}


class FactorsPart(Part):
    """`Credentials` on SQL."""

    async def factors(self, user_id: str) -> Factors:
        """See the port."""
        return await self._database.read(_factors, self._tables, user_id)

    async def put_password(self, user_id: str, password_hash: str, keep_session_id: str = "") -> None:
        """See the port."""
        await self._database.run_first(_put_password, self._tables, user_id, password_hash, keep_session_id)

    async def rehash(self, user_id: str, before: str, after: str) -> None:
        """See the port."""
        await self._database.run(_rehash, self._tables, user_id, before, after)

    async def put_totp(self, user_id: str, sealed_seed: bytes, step: int, now_unix_ms: int, *, first: bool) -> None:
        """See the port."""
        await self._database.run(_put_totp, self._tables, user_id, Totp(sealed_seed, step, now_unix_ms), first=first)

    async def remove_totp(self, user_id: str) -> None:
        """See the port."""
        await self._database.run_first(_remove_totp, self._tables, user_id)

    async def use_step(self, user_id: str, step: int) -> bool:
        """See the port."""
        return await self._database.run(_use_step, self._tables, user_id, step)

    async def put_recovery_codes(self, user_id: str, digests: Sequence[bytes]) -> None:
        """See the port."""
        await self._database.run(_put_recovery_codes, self._tables, user_id, digests)

    async def use_recovery_code(self, user_id: str, digest: bytes) -> bool:
        """See the port."""
        return await self._database.run(_use_recovery_code, self._tables, user_id, digest)

    async def add_passkey(self, user_id: str, passkey: Passkey, *, first: bool) -> None:
        """See the port."""
        await self._database.run(_add_passkey, self._tables, user_id, passkey, first=first)

    async def remove_passkey(self, user_id: str, credential_id: str) -> None:
        """See the port."""
        await self._database.run_first(_remove_passkey, self._tables, user_id, credential_id)

    async def passkey(self, credential_id: str) -> tuple[str, Passkey] | None:
        """See the port."""
        return await self._database.read(_passkey, self._tables, credential_id)

    async def use_passkey(self, credential_id: str, sign_count: int, now_unix_ms: int) -> bool:
        """See the port."""
        return await self._database.run(_use_passkey, self._tables, credential_id, sign_count, now_unix_ms)

    async def put_challenge(self, challenge: Challenge, now_unix_ms: int) -> None:
        """See the port."""
        await self._database.run(_put_challenge, self._tables, challenge, now_unix_ms)

    async def take_challenge(self, challenge_id: str, now_unix_ms: int) -> Challenge | None:
        """See the port."""
        return await self._database.run(_take_challenge, self._tables, challenge_id, now_unix_ms)


def _factors(connection: Connection, tables: PeopleTables, user_id: str) -> Factors:
    row = connection.execute(select(tables.people).where(tables.people.c.user_id == user_id)).one_or_none()
    if row is None:
        return Factors()
    own = (
        select(tables.passkeys).where(tables.passkeys.c.user_id == user_id).order_by(tables.passkeys.c.created_unix_ms)
    )
    left = select(func.count()).select_from(tables.recovery_codes).where(tables.recovery_codes.c.user_id == user_id)
    app = None
    if row.totp_sealed_seed is not None:
        app = Totp(row.totp_sealed_seed, row.totp_step, row.totp_enrolled_unix_ms)
    passkeys = tuple(_passkey_of(found) for found in connection.execute(own))
    return Factors(row.password_hash, app, passkeys, int(connection.scalar(left) or 0))


def _put_password(
    connection: Connection, tables: PeopleTables, user_id: str, password_hash: str, keep_session_id: str
) -> None:
    active_person(connection, tables, user_id)
    own = tables.people.c.user_id == user_id
    connection.execute(update(tables.people).where(own).values(password_hash=password_hash))
    others = (tables.sessions.c.user_id == user_id) & (tables.sessions.c.session_id != keep_session_id)
    connection.execute(delete(tables.sessions).where(others))
    withdraw_links(connection, tables, user_id)


def _rehash(connection: Connection, tables: PeopleTables, user_id: str, before: str, after: str) -> None:
    same = (tables.people.c.user_id == user_id) & (tables.people.c.password_hash == before)
    connection.execute(update(tables.people).where(same).values(password_hash=after))


def _put_totp(connection: Connection, tables: PeopleTables, user_id: str, totp: Totp, *, first: bool) -> None:
    _check_first(connection, tables, user_id, first=first)
    values = {"totp_sealed_seed": totp.sealed_seed, "totp_step": totp.step}
    changed = update(tables.people).where(tables.people.c.user_id == user_id)
    connection.execute(changed.values(**values, totp_enrolled_unix_ms=totp.enrolled_unix_ms))


def _remove_totp(connection: Connection, tables: PeopleTables, user_id: str) -> None:
    connection.execute(update(tables.people).where(tables.people.c.user_id == user_id).values(**_NO_TOTP))
    _forget_codes_of_nothing(connection, tables, user_id)


def _use_step(connection: Connection, tables: PeopleTables, user_id: str, step: int) -> bool:
    earlier = (tables.people.c.user_id == user_id) & (tables.people.c.totp_step < step)
    return bool(connection.execute(update(tables.people).where(earlier).values(totp_step=step)).rowcount)


def _put_recovery_codes(connection: Connection, tables: PeopleTables, user_id: str, digests: Sequence[bytes]) -> None:
    connection.execute(delete(tables.recovery_codes).where(tables.recovery_codes.c.user_id == user_id))
    if digests:
        rows = [{"user_id": user_id, "digest": digest} for digest in digests]
        connection.execute(insert(tables.recovery_codes), rows)


def _use_recovery_code(connection: Connection, tables: PeopleTables, user_id: str, digest: bytes) -> bool:
    same = (tables.recovery_codes.c.user_id == user_id) & (tables.recovery_codes.c.digest == digest)
    return bool(connection.execute(delete(tables.recovery_codes).where(same)).rowcount)


def _add_passkey(connection: Connection, tables: PeopleTables, user_id: str, passkey: Passkey, *, first: bool) -> None:
    _check_first(connection, tables, user_id, first=first)
    if _passkey(connection, tables, passkey.credential_id) is not None:
        raise Conflict("This passkey is enrolled already.", code="passkey_known")
    values = {
        "credential_id": passkey.credential_id,
        "user_id": user_id,
        "name": passkey.name,
        "public_key": passkey.public_key,
        "sign_count": passkey.sign_count,
        "created_unix_ms": passkey.created_unix_ms,
        "used_unix_ms": passkey.used_unix_ms,
    }
    connection.execute(insert(tables.passkeys).values(**values))


def _remove_passkey(connection: Connection, tables: PeopleTables, user_id: str, credential_id: str) -> None:
    same = (tables.passkeys.c.user_id == user_id) & (tables.passkeys.c.credential_id == credential_id)
    if not connection.execute(delete(tables.passkeys).where(same)).rowcount:
        raise NotFound("There is no such passkey.", param="passkey_id")
    _forget_codes_of_nothing(connection, tables, user_id)


def _passkey(connection: Connection, tables: PeopleTables, credential_id: str) -> tuple[str, Passkey] | None:
    same = select(tables.passkeys).where(tables.passkeys.c.credential_id == credential_id)
    row = connection.execute(same).one_or_none()
    return None if row is None else (row.user_id, _passkey_of(row))


def _use_passkey(
    connection: Connection, tables: PeopleTables, credential_id: str, sign_count: int, now_unix_ms: int
) -> bool:
    """A counter of zero is that of an authenticator that does not count (WebAuthn, 6.1.1)."""
    known = tables.passkeys.c.sign_count
    later = known < sign_count if sign_count else known == 0
    same = (tables.passkeys.c.credential_id == credential_id) & later
    used = update(tables.passkeys).where(same).values(sign_count=sign_count, used_unix_ms=now_unix_ms)
    return bool(connection.execute(used).rowcount)


def _put_challenge(connection: Connection, tables: PeopleTables, challenge: Challenge, now_unix_ms: int) -> None:
    connection.execute(delete(tables.challenges).where(tables.challenges.c.ends_unix_ms <= now_unix_ms))
    if int(connection.scalar(select(func.count()).select_from(tables.challenges)) or 0) >= CHALLENGES_MAX:
        raise Unavailable("Too many others are signing in at this moment.", retry_after_s=10)
    values = {
        "challenge_id": challenge.challenge_id,
        "purpose": challenge.purpose,
        "user_id": challenge.user_id,
        "value": challenge.value,
        "ends_unix_ms": challenge.ends_unix_ms,
    }
    connection.execute(insert(tables.challenges).values(**values))


def _take_challenge(
    connection: Connection, tables: PeopleTables, challenge_id: str, now_unix_ms: int
) -> Challenge | None:
    same = tables.challenges.c.challenge_id == challenge_id
    row = connection.execute(select(tables.challenges).where(same)).one_or_none()
    connection.execute(delete(tables.challenges).where(same))
    if row is None or row.ends_unix_ms <= now_unix_ms:
        return None
    return Challenge(row.challenge_id, Purpose(row.purpose), row.user_id, row.value, row.ends_unix_ms)


def _check_first(connection: Connection, tables: PeopleTables, user_id: str, *, first: bool) -> None:
    """Raises NotFound without an active person, Conflict when the first factor has been enrolled meanwhile."""
    active_person(connection, tables, user_id)
    own = tables.people.c.user_id == user_id
    has_app = connection.scalar(select(tables.people.c.totp_sealed_seed).where(own)) is not None
    if first and (has_app or has_passkey(connection, tables, user_id)):
        raise Conflict("A second factor was enrolled meanwhile. Sign in with it first.", code="factor_enrolled")


def _forget_codes_of_nothing(connection: Connection, tables: PeopleTables, user_id: str) -> None:
    """Recovery codes stand in for a second factor; without one they are none themselves."""
    own = tables.people.c.user_id == user_id
    has_app = connection.scalar(select(tables.people.c.totp_sealed_seed).where(own)) is not None
    if not has_app and not has_passkey(connection, tables, user_id):
        _put_recovery_codes(connection, tables, user_id, ())


def _passkey_of(row: Row[tuple[object, ...]]) -> Passkey:
    return Passkey(row.credential_id, row.name, row.public_key, row.sign_count, row.created_unix_ms, row.used_unix_ms)
