"""Models and prices."""

from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from parvis.adapters.store.database import Room
from parvis.adapters.store.tables import models, prices
from parvis.core.errors import Conflict
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import AutoCandidate, AutoPolicy, Capability, Model, ModelState, Track


class Catalogue(Room):
    """`CatalogueStore` on SQL."""

    async def put_model(self, model: Model) -> None:
        """See the port."""
        await self.database.run(_put_model, model)

    async def models(self) -> list[Model]:
        """See the port."""
        return await self.database.read(_models)

    async def model(self, model_id: str) -> Model | None:
        """See the port."""
        return await self.database.read(_find_model, model_id)

    async def add_prices(self, prices: PriceList) -> None:
        """See the port."""
        await self.database.run(_add_prices, prices)

    async def prices(self) -> list[PriceList]:
        """See the port."""
        return await self.database.read(price_lists)


def price_lists(connection: Connection) -> list[PriceList]:
    """All, oldest first."""
    rows = connection.execute(select(prices).order_by(prices.c.valid_from_unix_ms, prices.c.version, prices.c.model_id))
    return [_price_list(row) for row in rows]


def _put_model(connection: Connection, model: Model) -> None:
    connection.execute(delete(models).where(models.c.id == model.id))
    policy = None if model.auto is None else asdict(model.auto)
    connection.execute(insert(models).values(_values(model) | {"auto": policy}))


def _models(connection: Connection) -> list[Model]:
    return [_model(row) for row in connection.execute(select(models).order_by(models.c.id))]


def _find_model(connection: Connection, model_id: str) -> Model | None:
    row = connection.execute(select(models).where(models.c.id == model_id)).one_or_none()
    return None if row is None else _model(row)


def _model(row: Row[Any]) -> Model:
    values = dict(row._mapping)  # noqa: SLF001 - the documented way to a row's names
    values["capabilities"] = tuple(Capability(word) for word in values["capabilities"])
    values["auto"] = None if row.auto is None else _policy(row.auto)
    return Model(**values | {"state": ModelState(row.state), "track": Track(row.track)})


def _policy(said: dict[str, Any]) -> AutoPolicy:
    candidates = tuple(AutoCandidate(**one) for one in said["candidates"])
    return AutoPolicy(**said | {"candidates": candidates})


def _add_prices(connection: Connection, added: PriceList) -> None:
    same = select(prices).where(prices.c.version == added.version, prices.c.model_id == added.model_id)
    row = connection.execute(same).one_or_none()
    if row is None:
        connection.execute(insert(prices).values(_values(added)))
    elif _price_list(row) != added:
        raise Conflict(f"Prices '{added.version}' of '{added.model_id}' exist and never change: choose a new version.")


def _price_list(row: Row[Any]) -> PriceList:
    """What a list does not say is NULL: the release before this one has not got the columns."""
    said = row._mapping.items()  # noqa: SLF001 - the documented way to a row's names
    return PriceList(**{name: value for name, value in said if value is not None})


def _values(value: Model | PriceList) -> dict[str, Any]:
    """Columns are called as the fields are."""
    return {field.name: getattr(value, field.name) for field in fields(value)}
