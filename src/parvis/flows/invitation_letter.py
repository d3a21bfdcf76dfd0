"""The mail that brings a link to whom it is for, where the operator has set a mail server."""

import logging

from parvis.core.errors import Failure
from parvis.flows.invitations import Invited
from parvis.flows.notices import PostOffice

_log = logging.getLogger("parvis.sign_in")


async def post_link(office: PostOffice | None, invited: Invited, public_url: str) -> bool:
    """Send the link to its address; whether it left. Who asked for it has it in hand in any case.

    `public_url`: where it is accepted; empty when this door does not know.
    """
    if office is None or office.mailer is None:
        return False
    subject, text = letter(invited, public_url)
    invitation = invited.invitation
    try:
        await office.mailer.send(invitation.email, subject, text, f"inv_{invitation.invitation_id}")
    except Failure as failure:
        _log.warning("invitation not mailed", extra={"kind": failure.code})
        return False
    return True


def letter(invited: Invited, public_url: str) -> tuple[str, str]:
    """Subject and text, in both languages: of who was invited nobody knows yet which one is read."""
    if invited.invitation.user_id:
        return _letter_of_reset(invited, public_url)
    where_en = f" at {public_url}" if public_url else ""
    where_fr = f" sur {public_url}" if public_url else ""
    link = invited.link.reveal()
    english = f"You have been invited{where_en}. This is good once and for seven days; show it to nobody:"
    french = f"Vous êtes invité{where_fr}. Ce lien sert une fois, pendant sept jours ; ne le montrez à personne :"
    return "Invitation", f"{english}\n\n{link}\n\n{french}\n\n{link}\n"


def _letter_of_reset(invited: Invited, public_url: str) -> tuple[str, str]:
    where_en = f" at {public_url}" if public_url else ""
    where_fr = f" sur {public_url}" if public_url else ""
    link = invited.link.reveal()
    english = (
        f"Your sign-in{where_en} was reset: your password, second factors, sessions and personal tokens are over. With"
        " this you set another password, once and within seven days; show it to nobody:"
    )
    french = (
        f"Votre connexion{where_fr} a été réinitialisée : votre mot de passe, vos seconds facteurs, vos sessions et vos"
        " jetons personnels ne servent plus. Avec ceci vous choisissez un autre mot de passe, une fois, pendant sept"
        " jours ; ne le montrez à personne :"
    )
    return "Sign-in reset / Connexion réinitialisée", f"{english}\n\n{link}\n\n{french}\n\n{link}\n"
