"""Web pages and the broker, in a real Chromium: what a hostile page can do to it, and what it shows of hostile text."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, Dialog, Page, Playwright

from broker.api.table import ORDINARY_ROUTES
from broker.demo.browser import find_chromium, sandbox_flags
from tests.support.films import make_film
from tests.support.web_page import (
    PAYLOADS,
    SIX_KINDS,
    SUBMIT_FORM,
    HostileSite,
    Met,
    WatchedBroker,
    everything,
    fill,
)
from tests.support.worker import ScriptedWorker

#: Asked for by the browser, not by the page, once a form has led it to the broker.
BROWSERS_OWN = "/favicon.ico"


@pytest.fixture(scope="module")
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    """Any name that ends in `.example` leads to this machine, as a hostile DNS server can make it."""
    browser = playwright.chromium.launch(
        executable_path=find_chromium(),
        chromium_sandbox=not sandbox_flags(),
        args=["--host-resolver-rules=MAP *.example 127.0.0.1", "--disable-gpu"],
    )
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.context.close()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4", text_seed="page").read_bytes()


# A hostile page calls.


def all_paths(broker: WatchedBroker, job: str, film: str) -> list[str]:
    """Every path of the route table, about a job and a film that are there."""
    with broker.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    patterns = {*paths, *(route.path.replace(":path", "") for route in ORDINARY_ROUTES)}
    words = {"file_name": f"{film}.mp4", "file_path": "app.js", "name": "grok"}
    words |= {"webhook_id": "msg_1", "worker_id": "tester", "character_id": "char_1"}
    filled = {
        re.sub(r"\{(\w+)\}", lambda field: words.get(field[1], job), pattern)
        for pattern in patterns
    }
    assert len(filled) > 35
    return sorted(filled | {"/nowhere"})


def asked(path: str) -> str:
    return f"{path}?mode=video&mode=chat&wait=0" if path.endswith("/poll") else path


def attack(page: Page, home: str, target: str, paths: list[str], job: str) -> dict[str, list[str]]:
    """All seven kinds at every path; what the page came to know."""
    page.goto(home)
    known = {path: page.evaluate(SIX_KINDS, [target + asked(path), job]) for path in paths}
    for path in paths:
        with page.expect_navigation(url=f"{target}{path}", wait_until="commit"):
            page.evaluate(SUBMIT_FORM, [target + path, job])
        page.goto(home)
    return known


def kinds(met: list[Met], path: str) -> set[str]:
    return {f"{one.method} {one.content_type}".strip() for one in met if one.path == path}


def is_film(one: Met) -> bool:
    is_late = one.path.startswith("/jobs/") and "/late" in one.path
    return one.method == "GET" and (one.path.startswith(("/videos/", "/images/")) or is_late)


def leases(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder / 'jobs.db'}?mode=ro", uri=True)) as db:
        (held,) = db.execute("SELECT count(*) FROM jobs WHERE state = 'processing'").fetchone()
    return int(held)


#: Where the page comes from, what it calls the broker, and what Chromium says of that.
PLACES = [
    pytest.param("localhost", "localhost", "same-site", id="another port"),
    pytest.param("evil.example", "127.0.0.1", "cross-site", id="a page from elsewhere"),
]


@pytest.mark.parametrize(("home", "target", "site"), PLACES)
def test_a_page_of_another_origin_changes_nothing_and_learns_nothing(
    home: str, target: str, site: str, page: Page, tmp_path: Path, film: bytes
) -> None:
    with WatchedBroker(tmp_path) as broker, HostileSite() as attacker:
        jobs = fill(broker, film)
        paths = all_paths(broker, jobs["pending"], jobs["completed"])
        before = everything(tmp_path)
        broker.met.clear()

        origin = f"http://{home}:{attacker.port}"
        known = attack(page, origin, f"http://{target}:{broker.port}", paths, jobs["pending"])

        met = [one for one in broker.met if one.path != BROWSERS_OWN]
        with broker.client() as client:
            health = client.get("/", headers={"Accept": "application/json"}).json()

    assert everything(tmp_path) == before
    assert leases(tmp_path) == 0
    assert [worker["id"] for worker in health["workers"]] == ["tester"]
    assert {one.status for one in met if not is_film(one)} == {403}
    assert {one.status for one in met if is_film(one)} == {200, 404}
    assert {one.site for one in met} == {site}
    assert {one.origin for one in met} == {"", origin}
    for path in paths:
        assert kinds(met, path) == {
            "GET",
            "OPTIONS",
            "POST text/plain",
            "POST multipart/form-data",
        }, path
    answers = {answer for told in known.values() for answer in told}
    assert answers == {"failed", "opaque 0"}


def test_a_name_that_was_rebound_to_this_machine_changes_nothing_and_learns_nothing(
    page: Page, tmp_path: Path, film: bytes
) -> None:
    """The page comes from the hostile server; then its name leads to the broker, at the same port."""
    with WatchedBroker(tmp_path) as broker:
        jobs = fill(broker, film)
        paths = all_paths(broker, jobs["pending"], jobs["completed"])
        port = broker.port
    before = everything(tmp_path)
    home = f"http://rebound.example:{port}"
    with HostileSite(port) as attacker:
        page.goto(home)
        assert attacker.hits[0] == "/"

    with WatchedBroker(tmp_path, port) as broker:
        known = {p: page.evaluate(SIX_KINDS, [home + asked(p), jobs["pending"]]) for p in paths}
        for path in paths:
            with page.expect_navigation(url=f"{home}{path}", wait_until="commit"):
                page.evaluate(SUBMIT_FORM, [home + path, jobs["pending"]])
        met = [one for one in broker.met if one.path != BROWSERS_OWN]

    assert everything(tmp_path) == before
    assert leases(tmp_path) == 0
    assert {one.status for one in met} == {421}
    assert {one.site for one in met} == {""}
    # From the second form on, the page is the broker's refusal, and that tells nobody where it was.
    assert {one.origin for one in met} == {"", home, "null"}
    assert {one.host for one in met} == {f"rebound.example:{port}"}
    everything_sent = {"GET", "DELETE"} | {
        f"POST {kind}" for kind in ("text/plain", "multipart/form-data", "application/json")
    }
    for path in paths:
        assert kinds(met, path) == everything_sent, path
    # Its own name, to the browser: it may read what it is told, and that is the refusal.
    assert {answer for told in known.values() for answer in told} == {"failed", "basic 421"}


def test_the_same_page_takes_a_job_where_nobody_guards(
    page: Page, tmp_path: Path, film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the attack above is one: it is the guard that stops it, and neither the browser nor a slip of the test."""
    monkeypatch.setattr("broker.api.guard.Guard._examine_browser", lambda *_: None)
    with WatchedBroker(tmp_path) as broker, HostileSite() as attacker:
        jobs = fill(broker, film)
        before = everything(tmp_path)

        home, target = f"http://localhost:{attacker.port}", f"http://127.0.0.1:{broker.port}"
        attack(page, home, target, ["/extension/poll"], jobs["pending"])

    assert everything(tmp_path) != before


# A person looks at hostile text.


class Watch:
    """What a page did that nobody asked it to."""

    def __init__(self, page: Page) -> None:
        self.dialogs: list[str] = []
        self.hosts: set[str] = set()
        self._page = page
        page.on("dialog", self._dismiss)
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.add_init_script(WRITE_VIOLATIONS)

    def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def violations(self) -> list[str]:
        return list(self._page.evaluate("window.violations"))

    def stir(self) -> None:
        """As a mouse does that goes over everything."""
        self._page.evaluate(GO_OVER)


WRITE_VIOLATIONS = """
  window.violations = [];
  addEventListener("securitypolicyviolation", (event) => {
    window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
  });
"""
GO_OVER = """() => {
  for (const element of document.querySelectorAll("main *"))
    element.dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
}"""


def told(payloads: list[str], broker: WatchedBroker) -> dict[str, str]:
    """Each payload in every field that somebody else fills; the ids of its two jobs, by what it is."""
    jobs = {}
    with broker.client() as client, ScriptedWorker(broker) as worker:  # type: ignore[arg-type]
        for number, text in enumerate(payloads):
            hello = {"name": text[:100], "version": text[:40], "page_state": text[:40]}
            hello |= {"page_detail": text, "pack_version": text[:40], "kinds": ["chat"]}
            hello |= {"capabilities": {text: text}, "quota": {text: [text]}}  # type: ignore[dict-item]
            headers = {"X-Worker-Id": f"w{number}"}
            client.post("/extension/hello", json=hello, headers=headers).raise_for_status()
            made = client.post("/v1/videos/generations", json={"prompt": text}).json()
            worker.error(worker.take(), text, code="generation_failed").raise_for_status()
            jobs[made["id"]] = text
            made = client.post("/v1/responses", json={"input": text, "background": True}).json()
            worker.answer(worker.take("chat"), text, reasoning=text).raise_for_status()
            jobs[f"job_{made['id'][5:]}"] = text
    return jobs


@pytest.fixture
def canary() -> Iterator[HostileSite]:
    with HostileSite() as site:
        yield site


def aimed(canary: HostileSite) -> list[str]:
    return [text.replace("CANARY", f"canary.example:{canary.port}") for text in PAYLOADS]


def test_text_of_others_is_text_in_every_view(
    page: Page, canary: HostileSite, tmp_path: Path
) -> None:
    payloads = aimed(canary)
    assert len(payloads) >= 60
    with WatchedBroker(tmp_path) as broker:
        jobs = told(payloads, broker)
        watch = Watch(page)
        page.goto(f"{broker.url}/")
        page.wait_for_selector(".worker:nth-child(60)")
        while page.is_visible(".more"):
            count = page.locator(".job").count()
            page.click(".more")
            page.wait_for_selector(f"li:nth-child({count + 1}) .job")
        for about in page.locator("details").all():
            about.evaluate("(element) => { element.open = true; }")
        watch.stir()
        shown = {name: texts(page, name) for name in (".prompt", ".worker strong", ".page", "dd")}

        for job, text in jobs.items():
            page.evaluate("(job) => { location.hash = `#/jobs/${job}`; }", job)
            page.wait_for_selector(f"code.id:text-is('{job}')")
            watch.stir()
            seen = texts(page, "article h1, article p, article td")
            assert text[:200] in seen
            assert text in seen or any(text in one for one in seen), text

        violations = watch.violations()

    assert violations == []
    assert watch.dialogs == []
    assert watch.hosts == {f"127.0.0.1:{broker.port}"}
    assert canary.hits == []
    assert shown[".prompt"] >= {text[:200] for text in payloads}
    assert shown[".worker strong"] >= {text[:100] for text in payloads}
    assert shown[".page"] >= set(payloads)
    assert shown["dd"] >= {json.dumps({text: text}, separators=(",", ":")) for text in payloads}


def texts(page: Page, selector: str) -> set[str]:
    return set(page.eval_on_selector_all(selector, "(all) => all.map((one) => one.textContent)"))


def test_an_address_that_is_refused_is_shown_as_text(
    page: Page, canary: HostileSite, tmp_path: Path
) -> None:
    with WatchedBroker(tmp_path) as broker:
        watch = Watch(page)
        for text in aimed(canary):
            answer = page.goto(f"{broker.url}/jobs/{quote(text, safe='')}?{quote(text)}")
            assert answer is not None
            assert answer.status == 404
            assert answer.headers["content-type"] == "application/json"

    assert watch.dialogs == []
    assert canary.hits == []


AS_MARKUP = """(all) => {
  for (const text of all) {
    const place = document.createElement("div");
    document.body.append(place);
    place.innerHTML = text;
  }
}"""


def test_the_same_text_runs_where_it_is_taken_for_markup(page: Page, canary: HostileSite) -> None:
    """So that what is shown above could have done harm."""
    watch = Watch(page)
    with HostileSite() as site:
        page.goto(f"http://localhost:{site.port}")
        # All but the one that would lead the page away from the others.
        page.evaluate(AS_MARKUP, [text for text in aimed(canary) if "http-equiv" not in text])
        page.wait_for_load_state("networkidle")

    assert len(watch.dialogs) >= 5
    assert len(canary.hits) >= 5


# A film that is more than a film.

HIDDEN_PAGE = b"<!doctype html><html><script>window.hasRun = true; alert(1)</script></html>" * 30
#: Ways for a page to have a file of the broker's run. Resolves to what became of each.
LEND_A_HAND = """(url) => Promise.all(
  ["script", "iframe", "object", "embed", "link", "worker"].map((name) => new Promise((done) => {
    if (name === "worker") {
      try {
        const worker = new Worker(url);
        worker.onerror = () => done("worker failed");
        worker.onmessage = () => done("worker ran");
      } catch (error) {
        done("worker failed");
      }
      return;
    }
    const element = document.createElement(name);
    element.onload = () => done(`${name} loaded`);
    element.onerror = () => done(`${name} failed`);
    if (name === "link") element.rel = "stylesheet";
    element[{ object: "data", link: "href" }[name] ?? "src"] = url;
    document.body.append(element);
    setTimeout(done, 3000, `${name} silent`);
  })),
)"""


def test_a_page_that_is_hidden_in_a_film_does_not_run(
    page: Page, tmp_path: Path, film: bytes
) -> None:
    size = (len(HIDDEN_PAGE) + 8).to_bytes(4, "big")
    hiding = film + size + b"free" + HIDDEN_PAGE
    watch = Watch(page)
    with WatchedBroker(tmp_path) as broker, HostileSite() as site:
        job = fill(broker, hiding)["completed"]
        url = f"{broker.url}/videos/{job}.mp4"
        for ending in ("", "?as=page.html", "#page.html"):
            answer = page.goto(url + ending)
            assert answer is not None
            assert answer.headers["content-type"] == "video/mp4"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"].startswith("sandbox")
            assert page.locator("video").count() == 1
            assert page.locator("script").count() == 0
            assert page.evaluate("window.hasRun") is None

        page.goto(f"http://localhost:{site.port}")
        became = page.evaluate(LEND_A_HAND, url)
        frames = [frame.evaluate("window.hasRun") for frame in page.frames]

    assert "script failed" in became
    assert "worker failed" in became
    assert "link failed" in became
    assert set(frames) == {None}
    assert watch.dialogs == []
