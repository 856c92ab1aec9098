"""A store of each engine, for what every one of them promises."""

from pathlib import Path

import pytest

from tests.support.stores import ENGINES, Open, opener


@pytest.fixture(params=ENGINES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return opener(request.param, tmp_path)
