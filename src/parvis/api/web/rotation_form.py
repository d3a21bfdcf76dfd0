"""What owners and operators may do about the secrets of a key, without ever seeing one."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from parvis.api.web.instants import read_instant
from parvis.core.clock import Clock
from parvis.core.errors import BadRequest
from parvis.domain.identity.api_key import ApiKey
from parvis.flows.rotation import end_old_secret, extend_grace, start_rotation
from parvis.flows.store import IdentityStore


class RotationForm(BaseModel):
    """What is to be done about the secrets of a key. `ends_at` belongs to `extend` alone."""

    model_config = ConfigDict(extra="forbid")
    act: Literal["start", "extend", "end_old"]
    ends_at: str | None = Field(default=None, max_length=40)

    async def done(self, store: IdentityStore, clock: Clock, key_id: str) -> ApiKey:
        """The key afterwards; durable on return. Raises BadRequest, NotFound, Conflict."""
        ends = read_instant(self.ends_at, "ends_at")
        if (self.act == "extend") != (ends is not None):
            raise BadRequest("'ends_at' is said with 'extend', and with nothing else.", param="ends_at")
        if ends is not None:
            return await extend_grace(store, clock, key_id, ends)
        if self.act == "start":
            return await start_rotation(store, clock, key_id)
        return await end_old_secret(store, clock, key_id)
