"""What a gateway answers when control asks how it routes."""

from parvis.adapters.link.messages import ExplainWanted
from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.explained import Explained
from parvis.flows.fleet import LocalFleet


def explained_by(fleet: LocalFleet, wanted: ExplainWanted) -> Explained | None:
    """The decision as it was, or None where it is not remembered; or what would be decided now."""
    if wanted.request_id:
        return fleet.explained(wanted.request_id)
    return fleet.explain(Ask(wanted.pool, wanted.tenant_id, wanted.tokens, texts=lambda: wanted.texts))
