"""No place is left without an owner by accident."""

from collections.abc import Iterable

from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Grant, Role

OWNERS = frozenset({Role.ORGANISATION_OWNER, Role.TENANT_OWNER})


def orphaned(standing: Iterable[Grant], leaving: Iterable[Grant]) -> Target | None:
    """A place whose last owner is among those who leave; None when each keeps one.

    `standing`: all grants of people who are active, the leaving ones included.
    """
    gone = {grant.grant_id: grant for grant in leaving if grant.role in OWNERS}
    kept = {(grant.role, grant.target) for grant in standing if grant.grant_id not in gone}
    return next((grant.target for grant in gone.values() if (grant.role, grant.target) not in kept), None)
