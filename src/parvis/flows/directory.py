"""Who may do what, answered from the last snapshot. Prepared when it changes, not when it is asked."""

import hashlib
import os
import sys
from collections.abc import Mapping

from parvis.core.clock import Clock
from parvis.core.errors import NotAuthenticated, Unavailable
from parvis.core.ids import Randomness
from parvis.domain.billing.price import PriceList, price_in_force
from parvis.domain.catalog.model import LISTED, Model, name_table
from parvis.domain.identity.api_key import ApiKey, secret_digest, secret_matched
from parvis.domain.identity.key_text import read_key
from parvis.flows.permit import covers
from parvis.flows.ports import Snapshot

STALE_S_MAX = 60
"""How long a gateway that has lost control still believes what it knows of keys."""
SALT_BYTES = 16

_NO_KEY = "You did not provide an API key. Send it in the header 'Authorization: Bearer YOUR_KEY'."
_BAD_KEY = "Incorrect API key provided. Check that it was copied whole, and that it has not been revoked."


class SnapshotDirectory:
    """The `Directory` of a gateway."""

    def __init__(self, clock: Clock, stale_s_max: int = STALE_S_MAX, randomness: Randomness = os.urandom) -> None:
        self._clock = clock
        self._stale_s_max = stale_s_max
        self._pepper = b""
        self._keys: Mapping[str, ApiKey] = {}
        self._salt = randomness(SALT_BYTES)
        self._proven: dict[bytes, ApiKey] = {}
        self._models: dict[str, Model] = {}
        self._lists: list[PriceList] = []
        self._prices: dict[str, PriceList] = {}
        self._prices_until_unix_ms = sys.maxsize
        self._lost_at_s: float | None = clock.monotonic_s() - stale_s_max

    def load(self, snapshot: Snapshot) -> None:
        """Replace all that is known."""
        self._pepper = snapshot.pepper
        self._keys = snapshot.keys
        self._proven.clear()
        self._models = name_table(list(snapshot.models))
        self._lists = list(snapshot.prices)
        self._find_prices(self._clock.unix_ms())
        self._lost_at_s = None

    def lose_control(self) -> None:
        """The link is down: what we know ages from now on."""
        if self._lost_at_s is None:
            self._lost_at_s = self._clock.monotonic_s()

    def key(self, credential: str | None) -> ApiKey:
        """See the port. What was proven once under this snapshot is known again by a fast keyed hash of it."""
        if credential is None:
            raise NotAuthenticated(_NO_KEY)
        mark = hashlib.blake2b(credential.encode(), digest_size=SALT_BYTES, key=self._salt).digest()
        key = self._proven.get(mark)
        if key is None or self._keys.get(key.key_id) is not key:
            key = self._prove(credential)
            self._proven[mark] = key
        self._refuse_if_stale()
        return key

    def _prove(self, credential: str) -> ApiKey:
        text = read_key(credential)
        if text is None:
            raise NotAuthenticated(_BAD_KEY)
        self._refuse_if_stale()  # who knows too little cannot call a key wrong
        key = self._keys.get(text.key_id)
        if key is None or not key.active:
            raise NotAuthenticated(_BAD_KEY)
        digest = secret_digest(self._pepper, text.key_id, text.secret)
        if secret_matched(key, digest, self._clock.unix_ms()) is None:
            raise NotAuthenticated(_BAD_KEY)
        return key

    def _refuse_if_stale(self) -> None:
        if self._lost_at_s is not None and self._clock.monotonic_s() - self._lost_at_s >= self._stale_s_max:
            raise Unavailable("Keys cannot be checked right now. Try again shortly.", retry_after_s=2)

    def model(self, name: str) -> Model | None:
        return self._models.get(name)

    def models(self, key: ApiKey) -> list[Model]:
        visible = {m.id: m for m in self._models.values() if m.state in LISTED and covers(key, m)}
        return [visible[model_id] for model_id in sorted(visible)]

    def prices(self, model: Model) -> PriceList:
        """See the port. A list begins when its time comes, though nobody tells."""
        if (now := self._clock.unix_ms()) >= self._prices_until_unix_ms:
            self._find_prices(now)
        prices = self._prices.get(model.id)
        if prices is None:
            raise Unavailable(f"The model '{model.id}' has no price list in force. Tell your operator.")
        return prices

    def _find_prices(self, now_unix_ms: int) -> None:
        in_force = {model.id: price_in_force(self._lists, model.id, now_unix_ms) for model in self._models.values()}
        self._prices = {model_id: prices for model_id, prices in in_force.items() if prices is not None}
        later = (prices.valid_from_unix_ms for prices in self._lists if prices.valid_from_unix_ms > now_unix_ms)
        self._prices_until_unix_ms = min(later, default=sys.maxsize)
