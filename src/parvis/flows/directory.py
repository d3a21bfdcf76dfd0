"""Who may do what, answered from memory. Prepared at a key's first use, and dropped when something changes."""

import hashlib
import hmac
import os
import sys
from collections.abc import Iterable, Mapping

from parvis.core.clock import Clock
from parvis.core.errors import NotAuthenticated, Unavailable
from parvis.core.ids import Randomness
from parvis.core.secret import Secret
from parvis.domain.billing.price import PriceList, price_in_force
from parvis.domain.catalog.auto import furnished
from parvis.domain.catalog.model import LISTED, Model, name_table
from parvis.domain.identity.api_key import ApiKey, KeySecret, secret_digest, secret_matched
from parvis.domain.identity.key_text import ID_CHARS, SECRET_CHARS, KeyText, read_key
from parvis.domain.identity.organisation import Tenant
from parvis.domain.identity.scope import KeyScope
from parvis.domain.quota.limit import Limits
from parvis.flows.caches import tenant_salt
from parvis.flows.ports import KeyBook, KeyUse, LimitBook, Snapshot, TenantBook
from parvis.flows.prepared import Doubt, PreparedKey, doubt_of, prepare, reach, within
from parvis.flows.proofs import Proofs

STALE_S_MAX = 60
"""How long a gateway that has lost control still believes what it knows of keys."""
SALT_BYTES = 16
REACHES_MAX = 1_000
"""Different sets of patterns whose models are remembered."""

_NO_KEY = "You did not provide an API key. Send it in the header 'Authorization: Bearer YOUR_KEY'."
_BAD_KEY = "Incorrect API key provided. Check that it was copied whole, and that it has not been revoked."
_NOBODY = KeyText("0" * ID_CHARS, Secret("0" * SECRET_CHARS, "secret of nobody"))
"""Judged in the place of a text that is no key."""
_NOBODYS = ApiKey("", "", "", "", (KeySecret(b""),), active=False)
"""Looked at in the place of a key that is not there, or not shown."""


class SnapshotDirectory:
    """The `Directory` of a gateway."""

    def __init__(
        self,
        clock: Clock,
        stale_s_max: int = STALE_S_MAX,
        randomness: Randomness = os.urandom,
        *,
        tells_forbidden: bool = False,
    ) -> None:
        self.tells_forbidden = tells_forbidden
        self._clock = clock
        self._stale_s_max = stale_s_max
        self._pepper = b""
        self._keys: KeyBook = KeysAtHand({})
        self._tenants: TenantBook = {}
        self._limits: LimitBook = {}
        self._salt = randomness(SALT_BYTES)
        self._proofs = Proofs()
        self._proven = self._proofs.by_mark
        self._uses: dict[tuple[str, int], int] = {}
        self._models: dict[str, Model] = {}
        self._reaches: dict[tuple[tuple[str, ...], ...], frozenset[str]] = {}
        self._lists: list[PriceList] = []
        self._prices: dict[str, PriceList] = {}
        self._prices_until_unix_ms = sys.maxsize
        self._lost_at_s: float | None = clock.monotonic_s() - stale_s_max

    # What control tells

    def load(self, snapshot: Snapshot) -> None:
        """Replace all that is known. The books may change later; `forget` tells of what."""
        self._pepper = snapshot.pepper
        self._keys, self._tenants, self._limits = snapshot.keys, snapshot.tenants, snapshot.limits
        self._models = name_table(furnished(snapshot.models))
        self._lists = list(snapshot.prices)
        self._find_prices(self._clock.unix_ms())
        self.forget(None)
        self._lost_at_s = None

    def forget(self, key_ids: Iterable[str] | None) -> None:
        """These keys have changed in their book; None: tenants or limits have, and nothing prepared holds any more."""
        if key_ids is not None:
            self._proofs.forget(key_ids)
        else:
            self._proofs.clear()
            self._reaches.clear()

    def lose_control(self) -> None:
        """The link is down: what we know ages from now on."""
        if self._lost_at_s is None:
            self._lost_at_s = self._clock.monotonic_s()

    def take_uses(self) -> list[KeyUse]:
        """The last use of each secret that was used since this was asked before."""
        taken, self._uses = self._uses, {}
        return [KeyUse(key_id, made, last) for (key_id, made), last in taken.items()]

    # Keys

    def admit(self, credential: str | None, address: str) -> PreparedKey:
        """See the port. What was proven lately is known again by a fast keyed hash of it.

        Whatever speaks against it is left to `_judge`, which takes as long for one doubt as for another.
        """
        if credential is None:
            raise NotAuthenticated(_NO_KEY)
        mark = hashlib.blake2b(credential.encode(), digest_size=SALT_BYTES, key=self._salt).digest()
        prepared = self._proven.get(mark)
        now = self._clock.unix_ms()
        if (
            prepared is None
            or now >= prepared.ends_unix_ms
            or (prepared.networks and not within(address, prepared.networks))
        ):
            prepared = self._judge(credential, address, now)
            self._proofs.keep(mark, prepared)
        if self._lost_at_s is not None:
            self._refuse_if_stale()
        self._uses[prepared.use] = now
        return prepared

    def _judge(self, credential: str, address: str, now_unix_ms: int) -> PreparedKey:
        """The long way. All of it is walked before anything is refused, so that the time tells nothing."""
        text = read_key(credential)
        if text is not None:
            self._refuse_if_stale()  # who knows too little cannot call a key wrong
        shown = text or _NOBODY
        digest = secret_digest(self._pepper, shown.key_id, shown.secret)
        key, proven = self._keys.find(shown.key_id, digest)
        tenant = self._tenants.get(key.tenant_id)
        secret = secret_matched(key, digest, now_unix_ms)
        doubt = doubt_of(key, secret, tenant, address, now_unix_ms)
        stranger = Doubt.WRONG_SECRET if shown.key_id in self._keys else Doubt.UNKNOWN
        if not proven or text is None:
            doubt = stranger if text is not None else Doubt.MALFORMED
        if doubt is not None or secret is None or tenant is None:
            raise _refusal(doubt or Doubt.ENDED, text)
        return prepare(
            key,
            secret,
            tenant,
            self._reach(tenant, key.scope),
            self._limits.get,
            cache_salt=tenant_salt(self._pepper, key.tenant_id),
            alone=len(self._tenants) <= 1,
        )

    def limits(self, subject: str) -> Limits | None:
        """Those in force; None where there are none."""
        return self._limits.get(subject)

    def _refuse_if_stale(self) -> None:
        if self._lost_at_s is not None and self._clock.monotonic_s() - self._lost_at_s >= self._stale_s_max:
            raise Unavailable("Keys cannot be checked right now. Try again shortly.", retry_after_s=2)

    # Models and prices

    def model(self, name: str) -> Model | None:
        return self._models.get(name)

    def models(self, key: ApiKey) -> list[Model]:
        tenant = self._tenants.get(key.tenant_id)
        reached = self._reach(tenant, key.scope) if tenant is not None else frozenset()
        visible = {m.id: m for m in self._models.values() if m.state in LISTED and m.id in reached}
        return [visible[model_id] for model_id in sorted(visible)]

    def _reach(self, tenant: Tenant, scope: KeyScope) -> frozenset[str]:
        """Worked out once for all keys of the same patterns."""
        patterns = (tenant.models_allowed, tenant.models_denied, scope.models_allowed, scope.models_denied)
        reached = self._reaches.get(patterns)
        if reached is None:
            if len(self._reaches) >= REACHES_MAX:
                self._reaches.clear()
            reached = self._reaches[patterns] = reach(self._models.values(), tenant, scope)
        return reached

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


class KeysAtHand:
    """The `KeyBook` of somebody who has the keys themselves."""

    def __init__(self, keys: Mapping[str, ApiKey]) -> None:
        self._keys = keys

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def find(self, key_id: str, digest: bytes) -> tuple[ApiKey, bool]:
        """See the port."""
        key = self._keys.get(key_id, _NOBODYS)
        same = [hmac.compare_digest(digest, secret.digest) for secret in key.secrets]
        return (key, True) if any(same) and key is not _NOBODYS else (_NOBODYS, False)


def _refusal(doubt: Doubt, text: KeyText | None) -> NotAuthenticated:
    """One sentence for all doubts. The log is told the id of a key that exists; any other is the caller's own text."""
    refusal = NotAuthenticated(_BAD_KEY)
    refusal.reason = doubt
    refusal.key_id = text.key_id if text is not None and doubt is not Doubt.UNKNOWN else ""
    return refusal
