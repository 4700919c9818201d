from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import smoke
from orders import ORDERS, Order, countries, total


@pytest.fixture
def page():
    return AppTest.from_file(str(Path(__file__).parents[1] / "app.py"), default_timeout=60)


def test_the_page_says_which_version_answers(page):
    page.run()
    assert not page.exception
    assert page.caption[0].value.startswith("version ")


def test_a_country_is_chosen_by_the_address_and_stays_in_it(page):
    page.query_params["country"] = "Chile"
    page.run()
    assert page.metric[0].value == "165 EUR"
    page.selectbox[0].select("Ghana").run()
    assert page.metric[0].value == "210 EUR"
    assert page.query_params["country"] in ("Ghana", ["Ghana"])


def test_an_address_that_names_no_country_is_no_error(page):
    page.query_params["country"] = "Atlantis"
    page.run()
    assert not page.exception
    assert page.metric[0].value == f"{total(ORDERS)} EUR"


def test_a_session_remembers(page):
    page.run()
    page.button[0].click().run()
    page.button[0].click().run()
    assert "Seen 2 times" in page.markdown[0].value


def test_totals():
    orders = [Order("Chile", 2), Order("Ghana", 3), Order("Chile", 5)]
    assert (countries(orders), total(orders)) == (["Chile", "Ghana"], 10)


def test_the_smoke_check_passes():
    assert smoke.main() == 0
