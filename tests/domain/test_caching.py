"""Whose prompts can be told from a prefix cache: the whole table, and what must hold in every line of it."""

from itertools import product

import pytest

from parvis.domain.fleet.caching import Caching, caching_in_force
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import CacheSharing, EngineKind

BY_DEFAULT = {
    EngineKind.LLAMA_CPP: (Caching.ALONE, Caching.OFF),
    EngineKind.OPENVINO: (Caching.SALTED, Caching.SALTED),
    EngineKind.VLLM: (Caching.SALTED, Caching.SALTED),
    EngineKind.SGLANG: (Caching.SALTED, Caching.SALTED),
    EngineKind.TGI: (Caching.ALONE, Caching.REFUSED),
    EngineKind.OLLAMA: (Caching.ALONE, Caching.REFUSED),
    EngineKind.OPENAI: (Caching.ALONE, Caching.REFUSED),
    EngineKind.SPEECH: (Caching.ALONE, Caching.REFUSED),
}
"""With one tenant, and with several."""


@pytest.mark.parametrize("kind", sorted(EngineKind))
def test_what_is_in_force_when_nothing_is_declared(kind: EngineKind) -> None:
    found = tuple(caching_in_force(PROFILES[kind], CacheSharing.TENANT, alone=alone) for alone in (True, False))
    assert found == BY_DEFAULT[kind]


@pytest.mark.parametrize(("kind", "alone"), sorted(product(EngineKind, (False, True))))
def test_a_cache_is_shared_only_where_that_was_declared(kind: EngineKind, alone: bool) -> None:  # noqa: FBT001 - given by the test's table
    profile = PROFILES[kind]
    assert caching_in_force(profile, CacheSharing.SHARED, alone=alone) is Caching.SHARED
    assert caching_in_force(profile, CacheSharing.OFF, alone=alone) is Caching.OFF
    assert caching_in_force(profile, CacheSharing.TENANT, alone=alone) is not Caching.SHARED


@pytest.mark.parametrize("kind", sorted(EngineKind))
def test_a_second_tenant_never_finds_the_first_ones_cache_open(kind: EngineKind) -> None:
    """Salted or off, or refused: `ALONE` ends with the second tenant."""
    found = caching_in_force(PROFILES[kind], CacheSharing.TENANT, alone=False)
    assert found in {Caching.SALTED, Caching.OFF, Caching.REFUSED}
