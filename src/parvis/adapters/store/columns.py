"""What all tables are made of: the one set of them, and the kinds of columns that SQL has not by itself."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Dialect, MetaData, Text, TypeDecorator

metadata = MetaData()


class Words(TypeDecorator[tuple[str, ...]]):
    """A tuple of texts, stored as a JSON list."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, _dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(list(value), ensure_ascii=False)

    def process_result_value(self, value: Any, _dialect: Dialect) -> tuple[str, ...] | None:
        return None if value is None else tuple(json.loads(value))


class Facts(TypeDecorator[dict[str, Any]]):
    """A small JSON object that no query looks into."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, _dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(dict(value), ensure_ascii=False, sort_keys=True)

    def process_result_value(self, value: Any, _dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else dict(json.loads(value))


class Instants(TypeDecorator[tuple[int | None, ...]]):
    """A tuple of milliseconds since the epoch, some of them unknown, stored as a JSON list."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[int | None] | None, _dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(list(value))

    def process_result_value(self, value: Any, _dialect: Dialect) -> tuple[int | None, ...] | None:
        return None if value is None else tuple(json.loads(value))
