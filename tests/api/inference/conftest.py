"""The inference listener as it is in production: gateway, control and supervisor before a fake engine."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Service, served_by, service

CHAT, EMBED, OTHER = "smollm2-135m-instruct", "all-minilm-l6-v2", "other-8b"


@dataclass(frozen=True)
class House:
    """The service, and the engine that it stands on."""

    service: Service
    engine: FakeEngineProcess

    @property
    def port(self) -> int:
        return self.service.port

    @property
    def key(self) -> str:
        return self.service.api_key


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for a whole file: tests may not rely on what others have left in its log."""
    with fake_engine() as engine:
        as_named = {"engine_model": "fake-8b"}
        engines = {
            "chat": served_by(engine, model=CHAT, **as_named),
            "embed": served_by(engine, model=EMBED, kind="openai", embedding=True, context_tokens=512, **as_named),
            "other": served_by(engine, model=OTHER, **as_named),
        }
        with service(tmp_path_factory.mktemp("house") / "home", engines=engines) as running:
            yield House(running, engine)
