"""Pairing in a real browser, with a broker that asks for keys: from the first word to a job and to the key's end."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright

from tests.e2e.conftest import LIMITS
from tests.e2e.test_hostile_page import id_of
from tests.support.e2e_desk import Desk
from tests.support.e2e_waiting import wait_until
from tests.support.hostile import ScriptsWorld, open_stage
from tests.support.server import BrokerProcess

ADMIN = "an-operators-own-key-of-some-length"
AS_ADMIN = {"Authorization": f"Bearer {ADMIN}"}
QUESTION = "What is the capital of France?"
#: Every way for a script to read what the extension keeps, as a text that would hold the key.
READ_ALL = """async () => {
  const said = [];
  for (const area of ["local", "session", "sync", "managed"]) {
    try { said.push(JSON.stringify(await chrome.storage[area].get(null))); }
    catch (error) { said.push(`error: ${error.message}`); }
  }
  return said;
}"""
#: Of a page of another extension with leave to call the broker.
CALL = """async ([url, method, body, headers]) => {
  const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
  return [answer.status, await answer.text()];
}"""
NEIGHBOUR = {
    "manifest_version": 3,
    "name": "Neighbour",
    "version": "1.0",
    "host_permissions": ["http://127.0.0.1/*"],
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """For each test its own: pairings are counted by address."""
    folder = tmp_path / "broker"
    folder.mkdir()
    with BrokerProcess(folder, sweep_seconds=0.2, auth="required", admin_keys=ADMIN) as process:
        yield process


@pytest.fixture
def open_desk_with(
    broker: BrokerProcess, playwright: Playwright, chromium: str, tmp_path: Path
) -> Iterator[Callable[..., Desk]]:
    with ExitStack() as stack:

        def open_(**stage: Any) -> Desk:
            opened = open_stage(
                stack, playwright, tmp_path, broker_url=broker.url, limits=LIMITS, **stage
            )
            http = stack.enter_context(broker.client(headers=AS_ADMIN))
            desk = AdminDesk(broker, opened.site, http, opened.browser)
            stack.callback(desk.leave)
            return desk

        yield open_


@pytest.fixture
def desk(open_desk_with: Callable[..., Desk]) -> Desk:
    return open_desk_with()


class AdminDesk(Desk):
    """Looks at the workers as an operator may."""

    def workers(self) -> list[dict[str, Any]]:
        return list(self.http.get("/workers").json()["data"])


def needs_pairing(desk: Desk) -> dict[str, Any]:
    return desk.browser.wait_for_status(
        lambda status: status["connection"]["state"] == "pairing_needed"
    )


def begin(desk: Desk) -> tuple[Page, dict[str, Any]]:
    """The options page with a code on it, and the same pairing as the operator sees it."""
    needs_pairing(desk)
    options = desk.browser.options()
    options.click("#pair")
    options.wait_for_selector("#pairing-code:visible")
    (pairing,) = desk.http.get("/pairings").json()["data"]
    return options, pairing


def shown_code(options: Page) -> str:
    return (options.text_content("#pairing-code") or "").replace(" ", "")


def confirm(desk: Desk, pairing: dict[str, Any], code: str) -> int:
    path = f"/pairings/{pairing['id']}/confirm"
    return desk.http.post(path, json={"code": code}).status_code


def pair(desk: Desk) -> Page:
    options, pairing = begin(desk)
    assert confirm(desk, pairing, shown_code(options)) == 200
    desk.browser.wait_for_status(lambda status: status["connection"]["state"] == "connected")
    return options


def key_of(desk: Desk) -> str:
    return str(desk.browser.stored()["workerKey"]["key"])


def test_a_browser_is_paired_and_does_a_job(desk: Desk) -> None:
    needs_pairing(desk)
    popup = desk.browser.popup()
    popup.wait_for_selector("#pair:visible")
    assert popup.text_content("#connection .title") == "Pairing needed"

    options, pairing = begin(desk)
    assert options.text_content("#pairing-words") == " ".join(pairing["words"])
    assert "code" not in pairing
    assert confirm(desk, pairing, shown_code(options)) == 200
    options.wait_for_selector("#pairing[data-severity=good]")

    desk.browser.wait_for_status(lambda status: status["connection"]["state"] == "connected")
    _, call = desk.post_chat(QUESTION)
    call.answer()
    assert call.status == 200
    assert call.text
    popup.wait_for_selector("#pair", state="hidden")


def test_the_connection_test_names_the_missing_key_and_passes_with_one(desk: Desk) -> None:
    needs_pairing(desk)
    before = desk.browser.command("test_connection")["steps"]
    assert [step["name"] for step in before if not step["ok"]] == ["hello"]
    assert "asks for a key" in before[-1]["detail"]

    pair(desk)
    after = desk.browser.command("test_connection")["steps"]
    assert [step["name"] for step in after if not step["ok"]] == []


def test_the_page_is_tested_without_a_key(desk: Desk) -> None:
    needs_pairing(desk)

    assert desk.browser.command("self_test")["ok"]


def test_a_revoked_key_is_told_in_the_popup(desk: Desk) -> None:
    pair(desk)
    popup = desk.browser.popup()
    desk.http.delete(f"/keys/{key_of(desk)[:12]}")

    status = needs_pairing(desk)
    assert "not taken any more" in status["connection"]["detail"]
    popup.wait_for_selector("#pair:visible")
    assert popup.text_content("#connection .title") == "Pairing needed"


def test_a_browser_whose_key_was_revoked_is_paired_anew(desk: Desk) -> None:
    pair(desk)
    first = key_of(desk)
    desk.http.delete(f"/keys/{first[:12]}")
    pair(desk)

    assert key_of(desk) != first
    _, call = desk.post_chat(QUESTION)
    call.answer()
    assert call.status == 200


def test_unpairing_ends_the_key_on_both_sides(desk: Desk) -> None:
    options = pair(desk)
    key = key_of(desk)
    options.click("#unpair")
    needs_pairing(desk)

    assert "workerKey" not in desk.browser.stored()
    # Its own worker may be refused for want of a key before the broker has been told.
    wait_until(lambda: is_live(desk, key), lambda is_so: not is_so)


def is_live(desk: Desk, key: str) -> bool:
    (kept,) = (k for k in desk.http.get("/keys").json()["data"] if k["id"] == key[:12])
    return bool(kept["is_live"])


def test_a_refused_browser_says_so_and_has_no_key(desk: Desk) -> None:
    options, pairing = begin(desk)
    desk.http.delete(f"/pairings/{pairing['id']}")

    options.wait_for_selector("#pairing-text:has-text('said no')")
    assert "workerKey" not in desk.browser.stored()


def test_five_wrong_codes_end_the_pairing(desk: Desk) -> None:
    options, pairing = begin(desk)
    wrong = "".join(str(9 - int(digit)) for digit in shown_code(options))

    assert [confirm(desk, pairing, wrong) for _ in range(5)] == [400] * 5
    options.wait_for_selector("#pairing-text:has-text('five times')")
    assert confirm(desk, pairing, shown_code(options) or "0") == 409


def test_a_pairing_outlives_the_service_worker(desk: Desk) -> None:
    options, pairing = begin(desk)
    code = shown_code(options)
    desk.browser.kill_service_worker()
    desk.browser.command("test_connection")

    assert confirm(desk, pairing, code) == 200
    desk.browser.wait_for_status(lambda status: status["connection"]["state"] == "connected")


def test_the_key_outlives_the_browser(desk: Desk) -> None:
    pair(desk)
    key = key_of(desk)
    desk.browser.kill()
    desk.browser.start()

    desk.browser.wait_for_status(lambda status: status["connection"]["state"] == "connected")
    assert key_of(desk) == key


def test_the_key_goes_to_no_other_broker(desk: Desk, tmp_path: Path) -> None:
    pair(desk)
    folder = tmp_path / "other"
    folder.mkdir()
    with BrokerProcess(folder, auth="required", admin_keys=ADMIN) as other:
        desk.browser.save_settings(brokerUrl=other.url)
        status = needs_pairing(desk)
        assert status["pairing"]["isPaired"] is False
        assert status["connection"]["detail"] == ""

        desk.browser.save_settings(brokerUrl=desk.broker.url)
        desk.browser.wait_for_status(lambda status: status["connection"]["state"] == "connected")


# T28: what the site's page, and the extension's own script in it, can get.


@pytest.mark.parametrize("is_restarted", [False, True], ids=["paired", "restarted"])
def test_a_script_in_the_sites_page_cannot_read_the_key(is_restarted: bool, desk: Desk) -> None:
    pair(desk)
    key = key_of(desk)
    if is_restarted:
        desk.browser.kill()
        desk.browser.start()
    page = desk.browser.new_page("https://grok.com/")
    said = ScriptsWorld(page).evaluate(READ_ALL)

    assert len(said) == 4
    assert [answer for answer in said[:2] if not answer.startswith("error: ")] == []
    assert key not in repr(said)
    assert key not in page.content()
    assert page.evaluate("() => globalThis.chrome?.storage === undefined")


def test_a_script_in_the_sites_page_can_neither_pair_nor_unpair(desk: Desk) -> None:
    needs_pairing(desk)
    page = desk.browser.new_page("https://grok.com/")
    world = ScriptsWorld(page)
    for command in ("pair", "unpair"):
        ask = """(command) => chrome.runtime.sendMessage({ command }).then(
          (answer) => JSON.stringify(answer ?? null), (error) => `error: ${error.message}`)"""
        assert "true" not in world.evaluate(ask, command)

    assert desk.http.get("/pairings").json()["data"] == []


# A web page, and a second extension.


def test_a_web_page_begins_no_pairing_and_fetches_no_key(desk: Desk) -> None:
    _, pairing = begin(desk)
    nonce = desk.browser.stored("session")["pairing"]["nonce"]
    page = desk.browser.new_page("https://grok.com/")
    url = f"{desk.broker.url}/extension/pair"
    tries = [
        [url, "POST", {"nonce": "x" * 43}, {"Content-Type": "application/json"}],
        [f"{url}/{pairing['id']}?wait=0", "GET", None, {"X-Pairing-Nonce": nonce}],
    ]
    for given in tries:
        said = page.evaluate(f"(given) => ({CALL})(given).catch(() => [0, ''])", given)
        assert said[0] in (0, 403), said

    assert [one["id"] for one in desk.http.get("/pairings").json()["data"]] == [pairing["id"]]


def test_another_extension_begins_no_pairing(
    tmp_path: Path, open_desk_with: Callable[..., Desk]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text(json.dumps(NEIGHBOUR), encoding="utf-8")
    (other / "other.html").write_text("<!doctype html><title>Other</title>", encoding="utf-8")
    desk = open_desk_with(beside=other)
    needs_pairing(desk)
    page = desk.browser.new_page(f"chrome-extension://{id_of(other)}/other.html")
    headers = {"Content-Type": "application/json"}
    url = f"{desk.broker.url}/extension/pair"
    status, text = page.evaluate(CALL, [url, "POST", {"nonce": "x" * 43}, headers])

    assert (status, "origin_not_allowed" in text) == (403, True)
    assert desk.http.get("/pairings").json()["data"] == []


# The dashboard.


def dashboard(desk: Desk) -> Page:
    """Opened by an operator, who has entered the key."""
    page = desk.browser.new_page(desk.broker.url)
    page.fill("#key", ADMIN)
    page.click("form.key button")
    page.wait_for_selector(".counts a")
    return page


def test_the_owner_confirms_in_the_dashboard(desk: Desk) -> None:
    page = dashboard(desk)
    options, _ = begin(desk)
    card = page.locator(".pairing")
    card.wait_for()
    assert card.locator(".words").text_content() == options.text_content("#pairing-words")

    card.locator("input").fill("0000 000x")
    card.get_by_role("button", name="Confirm").click()
    card.get_by_text("4 tries are left").wait_for()
    card.locator("input").fill(options.text_content("#pairing-code") or "")
    card.get_by_role("button", name="Confirm").click()

    desk.browser.wait_for_status(lambda status: status["connection"]["state"] == "connected")
    card.wait_for(state="detached")


def test_what_is_typed_in_the_dashboard_stays_while_it_looks_again(desk: Desk) -> None:
    page = dashboard(desk)
    begin(desk)
    page.locator(".pairing input").fill("1234")
    with page.expect_response("**/pairings"):
        pass
    with page.expect_response("**/pairings"):
        pass

    assert page.locator(".pairing input").input_value() == "1234"


def test_the_owner_refuses_in_the_dashboard(desk: Desk) -> None:
    page = dashboard(desk)
    options, _ = begin(desk)
    page.locator(".pairing").get_by_role("button", name="Refuse").click()

    options.wait_for_selector("#pairing-text:has-text('said no')")


def test_the_name_of_a_worker_is_text_in_the_dashboard(desk: Desk) -> None:
    page = dashboard(desk)
    name = "<img src=x onerror=alert(1)><b>bold</b>"
    desk.http.post("/extension/pair", json={"nonce": "n" * 43, "name": name})
    card = page.locator(".pairing")

    card.get_by_text(name).wait_for()
    assert card.locator("img, b").count() == 0
    desk.http.delete(f"/pairings/{desk.http.get('/pairings').json()['data'][0]['id']}")
