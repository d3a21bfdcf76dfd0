"""Where notices leave the house: the hosts that the operator listed for them, and the operator's mail server."""

import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from parvis.adapters.keyring.file_key import load_root_key
from parvis.adapters.mail.smtp import SmtpMailer
from parvis.adapters.outbound.client import OutboundClient
from parvis.core.clock import Clock
from parvis.core.errors import Misconfigured
from parvis.core.secret import Secret
from parvis.flows.money_notices import tell_of_budgets, tell_of_low_credit
from parvis.flows.notices import Mailer, PostOffice
from parvis.flows.store import Store
from parvis.flows.vault import TenantVault
from parvis.settings import Notices, Settings


def post_office(settings: Settings, store: Store, clock: Clock) -> PostOffice:
    """Raises Misconfigured for files that cannot be read."""
    notices = settings.notices
    hosts = (*notices.hosts, notices.mail_server) if notices.mail_server else notices.hosts
    outbound = OutboundClient(hosts, notices.private_hosts, notices.tls_ca)
    vault = TenantVault(store, load_root_key(settings.home), os.urandom)
    return PostOffice(store, vault, outbound, _mailer(notices, outbound), clock, os.urandom)


def money_notices(store: Store, clock: Clock) -> dict[str, Callable[[], Awaitable[object]]]:
    """What the ticker does in each round for budgets and credit, by its name in the log."""
    return {
        "budgets": lambda: tell_of_budgets(store, clock, os.urandom),
        "low credit": lambda: tell_of_low_credit(store, clock, os.urandom),
    }


def _mailer(notices: Notices, outbound: OutboundClient) -> Mailer | None:
    if not notices.mail_server:
        return None
    login = (notices.mail_user, _password(notices)) if notices.mail_user else None
    return SmtpMailer(notices.mail_server, notices.mail_from, outbound.addresses, _trust(notices), login)


def _trust(notices: Notices) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=notices.tls_ca or None)
    except OSError as problem:
        raise Misconfigured(f"notices.tls_ca = {notices.tls_ca} cannot be used: {problem}.") from None


def _password(notices: Notices) -> Secret:
    try:
        return Secret(Path(notices.mail_password_file).read_text().strip(), "password of the mail server")
    except OSError as problem:
        raise Misconfigured(
            f"notices.mail_password_file = {notices.mail_password_file} cannot be read: {problem.strerror}."
        ) from None
