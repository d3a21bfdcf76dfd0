"""What happens before any child is started: a look at what could stop it, then at the store.

It is brought up to date, and at the first start it is furnished.
"""

import asyncio
import os
import secrets
from collections.abc import Callable
from importlib.util import find_spec

from parvis.adapters.engines.tls import engine_context
from parvis.adapters.keyring.file_key import FILE as ROOT_KEY_FILE
from parvis.adapters.keyring.file_key import load_root_key
from parvis.adapters.keyring.signing_key import Ed25519Signer
from parvis.adapters.store.store import SqlStore
from parvis.app.engine_start import find_weights
from parvis.app.openid import outbound_of
from parvis.app.premises import write_operator_token
from parvis.app.replicas import given_replicas
from parvis.app.tls import server_context
from parvis.core.clock import SystemClock
from parvis.core.errors import Failure, Misconfigured
from parvis.core.money import Money
from parvis.domain.catalog.builtin import entry
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.replica import EngineKind
from parvis.domain.vault.sealing import derive_key
from parvis.flows.first_start import first_start
from parvis.flows.keys import Mint, NewKey
from parvis.flows.signing import signing_seed
from parvis.settings import Settings

PEPPER_PURPOSE = "api-key-pepper"
PEPPER_VERSION = 1
PEOPLE_SEAL_PURPOSE = "people-seal"
PEOPLE_SEAL_VERSION = 1


def pepper_of(settings: Settings) -> bytes:
    """What API keys are hashed with. It exists outside the database only: derived from the root key."""
    return derive_key(load_root_key(settings.home), PEPPER_PURPOSE, PEPPER_VERSION)


def people_seal_key_of(settings: Settings) -> bytes:
    """What the seeds of authenticator apps are sealed under."""
    return derive_key(load_root_key(settings.home), PEOPLE_SEAL_PURPOSE, PEOPLE_SEAL_VERSION)


def signer_of(settings: Settings) -> Ed25519Signer:
    """With what this installation signs what it says of itself."""
    return Ed25519Signer(signing_seed(load_root_key(settings.home)))


def entries_of(settings: Settings) -> list[Model]:
    """A catalogue entry for every model that an engine of the settings serves."""
    return [
        entry(
            engine.model,
            engine=name,
            engine_model=engine.engine_model or engine.model,
            context_tokens=engine.context_tokens,
            embedding=engine.embedding,
            audio=engine.kind is EngineKind.SPEECH,
        )
        for name, engine in settings.engines.items()
        if engine.model
    ]


async def look_first(settings: Settings) -> None:
    """Find what would stop a start before anything is made in the store, or a key is shown. Raises Misconfigured."""
    inference = settings.inference
    if inference.tls_cert:
        server_context(inference.tls_cert, inference.tls_key)
    for name, listener in (("console", settings.console), ("operator", settings.operator)):
        if listener.tls_cert:
            server_context(listener.tls_cert, listener.tls_key, name)
    outbound_of(settings.openid)
    given_replicas(settings)
    if settings.ray.address and find_spec("ray") is None:
        raise Misconfigured("ray.address needs Ray: pip install 'parvis[ray]', in the release that your cluster runs.")
    for engine in settings.engines.values():
        if engine.tls is not None:
            engine_context(engine.tls)
        if engine.weights:
            await asyncio.to_thread(find_weights, engine.server, engine.weights, settings.home / "cache")


async def open_house(settings: Settings, say: Callable[[str], None]) -> None:
    """Migrate the store, furnish it, show the first key. Raises Misconfigured in one sentence."""
    write_operator_token(settings.home, secrets.token_urlsafe(32))
    clock = SystemClock()
    store = SqlStore(settings.store_url)
    try:
        await store.open()
        await _refuse_lost_root_key(settings, store)
        pepper = pepper_of(settings)
        euro = settings.money.first_credit_euro
        credit = None if euro is None else Money.euro(euro)
        first = await first_start(store, Mint(lambda: pepper, clock, os.urandom), entries_of(settings), credit)
    except Misconfigured:
        raise
    except Failure as failure:
        raise Misconfigured(f"The database cannot be used: {failure}") from None
    finally:
        await store.close()
    if first.key is not None:
        welcome(settings, first.key, say)


async def _refuse_lost_root_key(settings: Settings, store: SqlStore) -> None:
    """A new root key beside an old database would make every API key wrong and every sealed value unreadable."""
    path = settings.home / ROOT_KEY_FILE
    if not path.exists() and await store.keys():
        raise Misconfigured(f"{path} is missing, and the database was made with it. Restore it from your backup.")


def welcome(settings: Settings, key: NewKey, say: Callable[[str], None]) -> None:
    """What the first user needs. The key is shown here once and stored nowhere."""
    scheme = "https" if settings.inference.tls_cert else "http"
    base = f"{scheme}://{settings.inference.listen}/v1"
    model = next((m.id for m in entries_of(settings) if "chat" in m.capabilities), "MODEL")
    text = key.text.reveal()
    message = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
    say("This is your API key. It is shown once; keep it.")
    say(f"API key: {text}")
    say("")
    say(f"curl {base}/chat/completions -H 'Authorization: Bearer {text}' \\")
    say(f"  -H 'Content-Type: application/json' -d '{message}'")
    say("")
    say("from openai import OpenAI")
    say(f'client = OpenAI(base_url="{base}", api_key="{text}")')
    say('messages = [{"role": "user", "content": "Hello!"}]')
    say(f'answer = client.chat.completions.create(model="{model}", messages=messages)')
    say("print(answer.choices[0].message.content)")
    say("")
