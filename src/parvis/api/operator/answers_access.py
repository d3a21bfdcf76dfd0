"""The access report and the key that it is signed with, as types."""

from typing import Literal

from msgspec import UNSET, UnsetType

from parvis.api.web.answers import Instant, Shape
from parvis.api.web.answers_access import Access
from parvis.domain.identity.organisation import Standing


class SigningKey(Shape):
    """The public half of the key that this installation signs with, in hexadecimal digits."""

    object: Literal["signing_key"]
    algorithm: Literal["Ed25519"]
    public_key: str
    installation: str


class ReportPlace(Shape):
    """What a report is about; an empty id stands for all."""

    organisation_id: str
    tenant_id: str


class Named(Shape):
    """An organisation or tenant of a report."""

    id: str
    name: str
    standing: Standing


class ReportLine(Access):
    """A right, with the models that it reaches now."""

    models: list[str]


class ReportQuestion(Shape):
    """Who can use this model of this tenant, it is asked."""

    tenant_id: str
    model: str


class ReportDocument(Shape):
    """What is signed."""

    kind: Literal["parvis.access_report"]
    form: int
    installation: str
    made_at: Instant
    made_unix_ms: int
    made_by: str
    place: ReportPlace
    organisations: list[Named]
    tenants: list[Named]
    access: list[ReportLine]
    question: ReportQuestion | UnsetType = UNSET
    answer: list[Access] | UnsetType = UNSET


class Signature(Shape):
    """Of the canonical JSON of the document; in hexadecimal digits."""

    algorithm: Literal["Ed25519"]
    public_key: str
    value: str


class AccessReport(Shape):
    """A report that anybody can check offline."""

    document: ReportDocument
    signature: Signature
