"""The identity provider of an organisation, as both administration listeners show and set it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from parvis.api.web.answers import SignIn, SignInLinkRemoved, SignInRemoved
from parvis.api.web.routes import TheActor, TheTarget
from parvis.api.web.shapes import Json
from parvis.core.errors import NotFound
from parvis.core.secret import Secret
from parvis.domain.identity.openid import SCOPES, Provider, RoleMapping
from parvis.domain.identity.person import Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Role
from parvis.flows.openid import CALLBACK_PATH, unlink
from parvis.flows.openid_settings import OpenIdHouse, provider_of, remove_provider, set_provider
from parvis.flows.people import person_named

Text = Annotated[str, Field(max_length=255)]
Texts = Annotated[list[Text], Field(max_length=100)]


class MappingForm(BaseModel):
    """Who has this value in their claim has this role: over a tenant, or (without one) over the organisation."""

    model_config = ConfigDict(extra="forbid")
    value: Text
    role: Role
    tenant_id: Text = ""


class ProviderForm(BaseModel):
    """All of it: what is not said takes its default. Without a secret, the one that is kept stays."""

    model_config = ConfigDict(extra="forbid")
    issuer: Text
    client_id: Text
    client_secret: str | None = Field(default=None, max_length=4000)
    scopes: Texts = Field(default_factory=lambda: list(SCOPES))
    groups_claim: Text = "groups"
    mappings: Annotated[list[MappingForm], Field(max_length=100)] = Field(default_factory=list)
    domains: Texts = Field(default_factory=list)
    vouches_for_factor: bool = False
    acr_values: Texts = Field(default_factory=list)
    required: bool = False


async def show(request: Request, target: TheTarget) -> Annotated[Json, SignIn]:
    """The provider, without its secret."""
    house = openid_of(request)
    provider = await provider_of(house.store, target.organisation_id)
    return provider_shape(house, provider)


async def put(request: Request, actor: TheActor, target: TheTarget, form: ProviderForm) -> Annotated[Json, SignIn]:
    """Set or replace it. The provider is asked what it says of itself first."""
    house = openid_of(request)
    organisation_id = target.organisation_id
    provider = Provider(
        organisation_id,
        form.issuer,
        form.client_id,
        tuple(form.scopes),
        form.groups_claim,
        tuple(RoleMapping(one.value, one.role, Target(organisation_id, one.tenant_id)) for one in form.mappings),
        tuple(form.domains),
        form.vouches_for_factor,
        tuple(form.acr_values),
        form.required,
    )
    secret = None if form.client_secret is None else Secret(form.client_secret, "client secret")
    return provider_shape(house, await set_provider(house, actor, provider, secret))


async def remove(request: Request, target: TheTarget) -> Annotated[Json, SignInRemoved]:
    """Nobody comes by it any more; who did is signed out, and what its claims gave is withdrawn."""
    await remove_provider(openid_of(request), target.organisation_id)
    return {"object": "sign_in", "organisation_id": target.organisation_id, "deleted": True}


async def forget(request: Request, target: TheTarget, user_id: str) -> Annotated[Json, SignInLinkRemoved]:
    """Forget by which name the provider knows somebody; they are found by their e-mail when they come again."""
    house = openid_of(request)
    person = await person_named(house.store, Realm.CUSTOMER, user_id, target.organisation_id)
    await unlink(house, person.organisation_id, person.user_id)
    return {"object": "sign_in.link", "user_id": person.user_id, "deleted": True}


def openid_of(request: Request) -> OpenIdHouse:
    """What the desk of this listener has for it. Raises NotFound where there is none."""
    house: OpenIdHouse | None = request.app.state.desk.openid
    if house is None:
        raise NotFound("Nobody signs in here by an identity provider. Check the address.", code="openid_not_configured")
    return house


def provider_shape(house: OpenIdHouse, provider: Provider) -> Json:
    """With what its administrator must know: the address to which it sends people back."""
    return {
        "object": "sign_in",
        "organisation_id": provider.organisation_id,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "scopes": list(provider.scopes),
        "groups_claim": provider.groups_claim,
        "mappings": [
            {"value": one.value, "role": one.role, "tenant_id": one.target.tenant_id} for one in provider.mappings
        ],
        "domains": list(provider.domains),
        "vouches_for_factor": provider.vouches_for_factor,
        "acr_values": list(provider.acr_values),
        "required": provider.required,
        "redirect_uri": house.public_url + CALLBACK_PATH,
        "sign_in_url": f"{house.public_url}/v1/sign-in/openid/{provider.organisation_id}",
    }
