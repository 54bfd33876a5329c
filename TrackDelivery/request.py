"""Requests for lists of failures."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

from shared.wire_models import Timestamp, WireModel, parse


class FailureQuery(WireModel):
    """Which failures to list: those since a time, by default a day ago."""

    since: Timestamp = Field(default_factory=lambda: datetime.now(UTC) - timedelta(days=1))
    page_size: Annotated[int, Field(strict=False, ge=1, le=1000)] = 100
    continuation_token: str | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> "FailureQuery":
        """Return the query; raise InvalidRequestError naming what is wrong, or not known."""
        return parse(cls, {name: value for name, value in params.items() if name != "code"})
