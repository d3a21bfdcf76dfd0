"""Where notices leave the house is built of the settings, and what cannot be read stops the start."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from parvis.adapters.store.store import SqlStore
from parvis.app.post_office import post_office
from parvis.core.clock import SystemClock
from parvis.core.errors import BadRequest, Misconfigured
from parvis.flows.notices import PostOffice
from parvis.settings import Notices, Settings

MAIL = Notices(mail_server="localhost:25", mail_from="parvis@example.eu")


def built(home: Path, notices: Notices) -> PostOffice:
    return post_office(
        Settings(home=home, notices=notices), SqlStore(f"sqlite:///{home / 'never-opened.sqlite'}"), SystemClock()
    )


async def test_nobody_is_called_unless_somebody_is_listed(tmp_path: Path) -> None:
    office = built(tmp_path, Notices())
    assert office.mailer is None
    with pytest.raises(BadRequest, match="has not listed"):
        await office.outbound.addresses("localhost", 443)


async def test_a_mail_server_is_listed_by_being_set_and_private_only_when_that_is_said(tmp_path: Path) -> None:
    office = built(tmp_path, MAIL)
    assert office.mailer is not None
    with pytest.raises(BadRequest) as refused:
        await office.outbound.addresses("localhost", 25)
    assert refused.value.code == "address_not_allowed"
    here = built(tmp_path, replace(MAIL, private_hosts=("localhost:25",)))
    assert await here.outbound.addresses("localhost", 25)


@pytest.mark.parametrize("missing", [{"tls_ca": "/nothing"}, {"mail_user": "u", "mail_password_file": "/nothing"}])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, missing: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match="/nothing"):
        built(tmp_path, replace(MAIL, **missing))
