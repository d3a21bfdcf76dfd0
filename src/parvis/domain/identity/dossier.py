"""What is known of a person at one moment: all that a request is judged by, read at once."""

from dataclasses import dataclass

from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.person import Person
from parvis.domain.identity.role import Grant


@dataclass(frozen=True, slots=True)
class Dossier:
    """A person, their grants, and the rules of the organisation that they belong to."""

    person: Person
    grants: tuple[Grant, ...] = ()
    has_factor: bool = False
    """Whether they have a second factor."""
    place: Standing = Standing.ACTIVE
    """Of their organisation; the operator's staff has none, which is always active."""
    demands_factor: bool = True
    """Whether their organisation demands a second factor of local accounts; the operator always does."""

    @property
    def welcome(self) -> bool:
        """Whether anything may be done in their name."""
        return self.person.standing is Standing.ACTIVE and self.place is Standing.ACTIVE
