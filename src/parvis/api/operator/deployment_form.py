"""A deployment as it is said: to the operator's API, and in a declaration."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from parvis.domain.fleet.deployment import (
    IDLE_S_MAX,
    IDLE_S_MIN,
    REPLICAS_MAX,
    Deployment,
    DeploymentState,
    LoadPolicy,
    SizeClass,
    Source,
)
from parvis.domain.fleet.replica import CacheSharing, EngineKind
from parvis.domain.identity.changes import Kind, Sheet
from parvis.flows.deployment_rules import ADDRESSES_MAX
from parvis.flows.deployments import revised

WEIGHT_MAX = 1_000
Text = Annotated[str, Field(max_length=300)]
Weight = Annotated[StrictInt, Field(ge=1, le=WEIGHT_MAX)]


class AddressForm(BaseModel):
    """A server, and how much it takes beside others."""

    model_config = ConfigDict(extra="forbid")
    url: Text
    weight: Weight = 1


class DeploymentFields(BaseModel):
    """What can be said of a deployment. What is not said stays, or is as these defaults."""

    model_config = ConfigDict(extra="forbid")
    pool: Text = ""
    """What `engine` of its models says. Empty: as the entry of `model` says it, else the deployment's id."""
    source: Source = Source.ADDRESSES
    kind: EngineKind = EngineKind.LLAMA_CPP
    addresses: Annotated[list[AddressForm], Field(max_length=ADDRESSES_MAX)] = []
    weights: Text = ""
    replicas: Annotated[StrictInt, Field(ge=0, le=REPLICAS_MAX)] = 1
    replicas_max: Annotated[StrictInt, Field(ge=0, le=REPLICAS_MAX)] = 0
    gpus: Annotated[StrictInt, Field(ge=0, le=64)] = 0
    parallel: Annotated[StrictInt, Field(ge=1, le=1024)] = 8
    context_tokens: Annotated[StrictInt, Field(ge=64, le=1 << 22)] = 4096
    threads: Annotated[StrictInt, Field(ge=1, le=256)] = 1
    embedding: StrictBool = False
    model: Text = ""
    engine_model: Text = ""
    api_key_file: Text = ""
    tls_ca: Text = ""
    tls_cert: Text = ""
    tls_key: Text = ""
    tls_min: Literal["1.2", "1.3"] = "1.3"
    cache: CacheSharing = CacheSharing.TENANT
    size_class: SizeClass = SizeClass.UNSAID
    slots: Annotated[StrictInt, Field(ge=0, le=65_536)] = 0
    weight: Weight = 1
    cost: Annotated[StrictInt, Field(ge=0, le=1_000_000_000)] = 0
    load: LoadPolicy = LoadPolicy.PINNED
    idle_s: Annotated[StrictInt, Field(ge=IDLE_S_MIN, le=IDLE_S_MAX)] = 600
    """Of `on-demand`: after so many seconds in which nobody asked it is unloaded."""
    state: Literal[DeploymentState.SERVING, DeploymentState.CORDONED, DeploymentState.DRAINING] = (
        DeploymentState.SERVING
    )

    def said(self) -> dict[str, Any]:
        """As plain values, what was said and nothing else."""
        facts = self.model_dump(mode="json", exclude_unset=True, exclude={"id", "addresses"})
        if "addresses" in self.model_fields_set:
            facts["addresses"] = tuple(one.model_dump() for one in self.addresses)
        return facts


class NewDeployment(DeploymentFields):
    """A whole one."""

    id: Text

    def deployment(self) -> Deployment:
        return revised(Deployment(deployment_id=self.id, pool=""), self.said())

    def sheet(self) -> Sheet:
        """Of a declaration."""
        return Sheet(Kind.DEPLOYMENT, (self.id,), self.said())
