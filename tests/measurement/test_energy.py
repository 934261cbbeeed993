"""The country of the power grid is one that codecarbon knows; another would be counted with the world's average."""

from __future__ import annotations

import pytest

from parsimony.errors import PlanError
from parsimony.measurement.energy import require_country


@pytest.mark.parametrize(
    ("country", "meant"),
    [
        ("GER", "DEU (Germany)"),
        ("DEN", "DNK (Denmark)"),
        ("CRO", "HRV (Croatia)"),
        ("POR", "PRT (Portugal)"),
        ("SPA", "ESP (Spain)"),
        ("NED", "NLD (Netherlands)"),
        ("deu", "DEU (Germany)"),
        ("Germany", "DEU (Germany)"),
    ],
)
def test_an_unknown_country_is_refused_with_the_nearest_one(country: str, meant: str) -> None:
    with pytest.raises(PlanError, match=f"run.country is '{country}', expected one of codecarbon's") as caught:
        require_country(country)
    assert meant in str(caught.value) and "\n" not in str(caught.value)


def test_a_country_like_no_other_is_refused_with_the_standard_that_lists_them() -> None:
    with pytest.raises(PlanError, match="ISO 3166-1"):
        require_country("QQQ")


@pytest.mark.parametrize("country", [None, "DEU", "USA", "CHN"])
def test_a_known_country_or_none_is_taken(country: str | None) -> None:
    require_country(country)
