"""What a person may do who came by a session or by a personal token, as of now."""

from parvis.domain.identity.dossier import Dossier
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.personal_token import PersonalToken, rights_by_token
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Kind, Principal, Right, rights_of
from parvis.domain.identity.role import ANYONES
from parvis.domain.identity.session import Session, restriction

KINDS = {Realm.CUSTOMER: Kind.USER, Realm.OPERATOR: Kind.OPERATOR}


def name_of(realm: Realm, person: Person) -> str:
    """How records and grants name a person: `user usr_…`, `operator opr_…`."""
    return f"{KINDS[realm]} {person.user_id}"


def by_session(realm: Realm, dossier: Dossier, session: Session) -> Principal:
    """Somebody with a browser, restricted until they have shown all that is demanded."""
    must = restriction(session, has_factor=dossier.has_factor, demanded=dossier.demands_factor)
    return _principal(
        realm,
        dossier,
        _rights(dossier),
        session.session_id,
        proven_unix_ms=session.proven_unix_ms,
        by_cookie=True,
        tags=frozenset({must} if must else ()),
    )


def by_token(realm: Realm, dossier: Dossier, token: PersonalToken) -> Principal:
    """Somebody's program: nothing is proven by it, and it does not sign in."""
    return _principal(realm, dossier, rights_by_token(_rights(dossier), token), token.token_id)


def _rights(dossier: Dossier) -> tuple[Right, ...]:
    own = Right(ANYONES, Target(dossier.person.organisation_id))
    return (own, *rights_of(dossier.grants))


def _principal(
    realm: Realm,
    dossier: Dossier,
    rights: tuple[Right, ...],
    session_id: str,
    *,
    proven_unix_ms: int = 0,
    by_cookie: bool = False,
    tags: frozenset[str] = frozenset(),
) -> Principal:
    return Principal(
        name_of(realm, dossier.person),
        KINDS[realm],
        dossier.person.user_id,
        dossier.person.organisation_id,
        rights,
        session_id=session_id,
        proven_unix_ms=proven_unix_ms,
        by_cookie=by_cookie,
        tags=tags,
    )
