"""The page of the API against the shapes of a response, in both directions."""

from typing import get_args

from broker.api.openai.responses.translate import READ_ITEMS
from broker.api.openai.responses.wire import CreateResponse, Response
from tests.unit.test_docs import named, rows, section

HEADING = "`POST /v1/responses`"


def test_every_field_of_a_response_request_is_told() -> None:
    asked = section("docs/api.md", HEADING).partition("| Item |")[0]

    told = [name for row in rows(asked) for name in named(row[0])]
    assert sorted(told) == sorted(CreateResponse.model_fields)


def test_every_item_that_is_read_is_told() -> None:
    text = section("docs/api.md", HEADING)

    missing = [name for name in READ_ITEMS if f"`{name.replace('_output', '')}`" not in text]
    assert missing == []


def test_every_status_of_a_response_is_told() -> None:
    states = get_args(Response.model_fields["status"].annotation)
    told = [named(row[0]) for row in rows(section("docs/api.md", HEADING))]

    assert len(states) > 5
    assert sorted(names for names in told if names[0] in states) == sorted([s] for s in states)
