"""WebAuthn level 3 as the library `webauthn` judges it: no attestation is asked for, signatures are always checked."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from parvis.core.errors import BadRequest, NotAuthenticated
from parvis.domain.identity.person import Person
from parvis.domain.identity.second_factor import Assertion, Passkey

Json = dict[str, Any]
_BROKEN = (WebAuthnException, ValueError, TypeError, KeyError)
"""What the library raises at an answer that is none."""


class WebAuthnSite:
    """`Passkeys` of the site at this address (`https://console.example.eu`)."""

    def __init__(self, public_url: str) -> None:
        self._origin = public_url
        self._site = urlsplit(public_url).hostname or "localhost"

    def registration(self, person: Person, known: Sequence[Passkey], challenge: bytes) -> Json:
        """See the port."""
        options = generate_registration_options(
            rp_id=self._site,
            rp_name=self._site,
            user_name=person.email,
            user_id=person.user_id.encode(),
            user_display_name=person.name,
            challenge=challenge,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=_descriptors(known),
        )
        return _plain(options_to_json(options))

    def registered(self, response: Json, challenge: bytes, name: str, now_unix_ms: int) -> Passkey:
        """See the port."""
        try:
            made = verify_registration_response(
                credential=response,
                expected_challenge=challenge,
                expected_rp_id=self._site,
                expected_origin=self._origin,
            )
        except _BROKEN:
            raise BadRequest(
                "This is no passkey made for this site and this enrolment.", code="passkey_wrong"
            ) from None
        credential_id = bytes_to_base64url(made.credential_id)
        return Passkey(credential_id, name, made.credential_public_key, made.sign_count, now_unix_ms)

    def request(self, known: Sequence[Passkey], challenge: bytes) -> Json:
        """See the port."""
        options = generate_authentication_options(
            rp_id=self._site,
            challenge=challenge,
            allow_credentials=_descriptors(known),
            user_verification=UserVerificationRequirement.PREFERRED,
        )
        return _plain(options_to_json(options))

    def credential_id(self, response: Json) -> str:
        """See the port."""
        claimed = response.get("id")
        if not isinstance(claimed, str):
            raise _unknown()
        return claimed

    def asserted(self, response: Json, challenge: bytes, passkey: Passkey) -> Assertion:
        """See the port. Whether the counter went up is for the store to say, which knows the latest one."""
        try:
            proven = verify_authentication_response(
                credential=response,
                expected_challenge=challenge,
                expected_rp_id=self._site,
                expected_origin=self._origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=0,
            )
        except _BROKEN:
            raise _unknown() from None
        return Assertion(proven.new_sign_count, proven.user_verified)


def _descriptors(known: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(passkey.credential_id)) for passkey in known]


def _plain(text: str) -> Json:
    plain: Json = json.loads(text)
    return plain


def _unknown() -> NotAuthenticated:
    return NotAuthenticated("This passkey is not known here.", code="sign_in_refused")
