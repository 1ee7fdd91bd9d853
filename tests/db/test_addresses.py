"""Addresses of databases, as people write them."""

import pytest

from area.db.session import plain_url


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("postgresql+asyncpg://area:secret@db:5432/area", "postgresql://area:secret@db:5432/area"),
        ("postgresql+asyncpg://postgres:@/area?host=/run/pg", "postgresql://postgres:@/area?host=/run/pg"),
        ("postgres://area:p%40ss@db/area?sslmode=require", "postgresql://area:p%40ss@db/area?sslmode=require"),
        ("postgresql://area:a/b#c?d@db/area", "postgresql://area:a%2Fb%23c%3Fd@db/area"),
        ("postgresql://db/area", "postgresql://db/area"),
    ],
)
def test_asyncpgs_reading_of_an_address(written: str, read: str) -> None:
    assert plain_url(written) == read
