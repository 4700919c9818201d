import pytest

from app import VERSION, app


@pytest.fixture
def client():
    return app.test_client()


def test_the_front_page_says_which_version_answers(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.json["version"] == VERSION
    assert answer.json["pod"]


def test_the_front_page_greets(client):
    assert client.get("/").json["greeting"].startswith("Hello")


def test_health_is_ok(client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json["status"] == "ok"


def test_an_unknown_page_is_not_found(client):
    assert client.get("/nothing-here").status_code == 404
