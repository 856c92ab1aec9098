"""Whatever a broker says: it cannot send the extension elsewhere, run code in it, or get what is no job's result."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Playwright

from broker.demo.browser import EXTENSION
from broker.demo.site.stand_in import Switches
from tests.e2e.conftest import LIMITS
from tests.support.hostile import Canary, LyingBroker, Stage, edit_manifest, open_stage
from tests.support.stand_in import NEW, Visitor, objects

SECRET = "What nobody but the person may read."
QUESTION = "What did the doctor say about my knee?"
ANSWER = "The one true answer, word for word."
PACK = json.loads((EXTENSION / "sites" / "grok.json").read_text(encoding="utf-8"))
SOON = {"element_seconds": 2, "recover_seconds": 2, "traffic_seconds": 1, "settle_seconds": 0.5}


@dataclass
class Scene(Stage):
    """A stage whose broker lies."""

    broker: LyingBroker
    canary: Canary

    def settings(self) -> Any:
        return self.browser.stored().get("settings")

    def everything_told(self) -> str:
        return repr(self.broker.calls)

    def does_a_job(self) -> None:
        self.site.switches.answer = ANSWER
        self.broker.hand_out(job_id="job_of_its_own", job_type="chat", prompt="Say it", request={})
        call, told = self.broker.wait_for_end()
        assert (call, told.get("content")) == ("complete", ANSWER), told


@pytest.fixture
def open_scene(
    playwright: Playwright, chromium: str, tmp_path: Path
) -> Iterator[Callable[..., Scene]]:
    with ExitStack() as stack:

        def open_(change: Any = None, **switches: Any) -> Scene:
            broker = stack.enter_context(LyingBroker())
            canary = stack.enter_context(Canary())
            stage = open_stage(
                stack,
                playwright,
                tmp_path,
                broker_url=broker.url,
                limits=LIMITS | SOON,
                switches=Switches(**switches),
                change=change,
            )
            return Scene(stage.site, stage.browser, broker, canary)

        yield open_


@pytest.fixture
def scene(open_scene: Callable[..., Scene]) -> Scene:
    return open_scene()


# T29: page packs.


def packs(elsewhere: str) -> dict[str, bytes]:
    """Packs that no extension may use, by what is wrong with them."""
    changed = {
        "the chat lies elsewhere": {"addresses": PACK["addresses"] | {"chat": f"{elsewhere}/"}},
        "a host that looks like the site's": {
            "addresses": PACK["addresses"] | {"imagine": "https://grok.com.evil.example/imagine"}
        },
        "a name in front of another host": {
            "addresses": PACK["addresses"] | {"post": f"https://grok.com@{elsewhere[7:]}/"}
        },
        "a script as an address": {
            "addresses": PACK["addresses"] | {"saved": "javascript:alert(1)"}
        },
        "media from this machine": {"media": {"base": f"{elsewhere}/", "hosts": ["127.0.0.1"]}},
        "media from anywhere": {
            "media": PACK["media"] | {"hosts": ["assets.grok.com", "evil.example"]}
        },
        "a way to press that is code": {"press": "eval"},
        "code beside a rung": {
            "purposes": PACK["purposes"]
            | {"chat.editor": {"rungs": [{"css": "a", "onclick": "alert(1)"}]}}
        },
        "a version with markup": {"version": "9999.1.1<img src=x onerror=alert(1)>"},
        "code of its own": {"script": "alert(1)"},
        "a prototype": {"constructor": {"prototype": {"chat": elsewhere}}},
        "limits that are no numbers": {"limits": PACK["limits"] | {"page_seconds": "1; alert(1)"}},
        "a limit below nothing": {"limits": PACK["limits"] | {"download_tries": -1}},
        "purposes as a list": {"purposes": [PACK["purposes"]]},
        "a very long text": {"version": "9" * 8_000_000},
        "very many purposes": {
            "purposes": {f"p{n}": {"rungs": [{"css": "a"}]} for n in range(50_000)}
        },
    }
    whole = {
        why: json.dumps(PACK | {"version": "9999.1.1"} | more) for why, more in changed.items()
    }
    whole |= {
        f"{text[:10]} is no pack": text for text in ("null", "5", '"text"', "[]", "true", "{}")
    }
    whole |= {
        "no JSON": "<!doctype html><script>alert(1)</script>",
        "nothing": "",
        "deep": "[" * 200_000,
    }
    whole["a prototype by its name"] = '{"__proto__": ' + whole["the chat lies elsewhere"] + "}"
    return {why: text.encode() for why, text in whole.items()}


def test_a_page_pack_that_is_not_sound_is_not_used_and_a_sound_one_is(scene: Scene) -> None:
    scene.broker.directives = ["update_pack"]
    for why, pack in packs(scene.canary.url).items():
        scene.broker.pack = pack
        scene.broker.wait_for_more("pack")

        assert scene.browser.status()["pack"]["source"] == "bundled", why
        assert "pack" not in scene.browser.stored(), why
    scene.does_a_job()
    assert scene.canary.hits == []
    assert [url for url in scene.visits() if not url.startswith("https://grok.com/")] == []

    scene.broker.pack = json.dumps(PACK | {"version": "9999.1.1"}).encode()
    scene.browser.wait_for_status(lambda status: status["pack"]["source"] == "broker")


# T30: what a broker says.


LIES: list[Any] = [
    "save_settings",
    "set_broker",
    "open_grok",
    "eval",
    "constructor",
    "__proto__",
    "navigate http://127.0.0.1/",
    "",
    5,
    None,
    {"directive": "pause"},
    ["pause"],
]


def test_nothing_that_a_broker_says_changes_where_it_is(scene: Scene) -> None:
    elsewhere = scene.canary.url
    settings = {"brokerUrl": elsewhere, "name": "", "kinds": {}}
    scene.broker.directives = [*LIES, f"broker_url={elsewhere}", {"settings": settings}]
    scene.broker.welcome |= {
        "broker_url": elsewhere,
        "brokerUrl": elsewhere,
        "settings": settings,
        "redirect": elsewhere,
        "worker_id": elsewhere,
    }
    scene.broker.wait_for_more("poll")
    scene.does_a_job()

    assert scene.settings() is None
    assert scene.canary.hits == []
    assert scene.browser.status()["pausedBy"] is None
    assert scene.browser.status()["connection"]["state"] == "connected"


def test_a_broker_cannot_send_calls_on_to_somewhere_else(scene: Scene) -> None:
    scene.broker.wait_for_more("poll")
    scene.broker.leads_to = f"{scene.canary.url}/extension/poll"
    scene.browser.wait_for_status(lambda status: status["connection"]["state"] == "unreachable")
    scene.broker.leads_to = None

    scene.does_a_job()
    assert scene.canary.hits == []


@pytest.mark.parametrize(
    "job",
    [
        {"job_type": "__proto__"},
        {"job_type": "chat", "action": "constructor"},
        {"prompt": {"toString": "x"}},
        {"prompt": 5},
        {"images": "no list"},
        {"images": [{"a": 1}], "image": 7},
        {"options": "no options", "evidence": "no evidence"},
        {
            "evidence": {"post_id": "../../../x?y", "baseline": {"posts": 5, "media": {}}},
            "action": "recover",
        },
        {
            "evidence": {"conversation_id": "//evil.example"},
            "action": "recover",
            "job_type": "chat",
        },
        {"job_id": "../../../health?"},
    ],
    ids=lambda job: json.dumps(job)[:50],
)
def test_a_job_that_makes_no_sense_ends_and_the_next_one_is_done(job: Any, scene: Scene) -> None:
    scene.broker.hand_out(**job)
    scene.broker.wait_for_end(60)

    scene.does_a_job()
    assert [url for url in scene.visits() if not url.startswith("https://grok.com/")] == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"operation": "extend", "source": {"job_id": "job_1"}, "duration_seconds": 6}, "extend"),
        ({"operation": "edit"}, "edit"),
        ({"operation": "remix"}, "remix"),
        ({"camera": "low"}, "camera"),
    ],
    ids=["extend", "edit", "remix", "unheard_of"],
)
def test_a_film_that_the_page_cannot_be_asked_for_is_not_made_as_another(
    options: dict[str, Any], named: str, scene: Scene
) -> None:
    scene.broker.hand_out(prompt="Go on", options=options)
    call, told = scene.broker.wait_for_end(60)

    assert (call, told["code"]) == ("error", "option_refused")
    assert named in told["error"]
    assert scene.site.submits() == []
    scene.does_a_job()


# T30: what is the person's own.


def without_observer(copy: Path) -> None:
    edit_manifest(copy, lambda manifest: manifest["content_scripts"].pop(0))


by_sight = pytest.mark.parametrize(
    "change", [None, without_observer], ids=["traffic", "page_alone"]
)
#: Nothing of the person's bears these; or all of it does, if it is looked at carelessly.
OTHER_PROMPTS = ["Anything else", "e", " \n"]


def ask(visitor: Visitor, question: str, conversation: str | None = None) -> str:
    """The person asks something; the conversation's id."""
    path = f"/rest/app-chat/conversations/{conversation}/responses" if conversation else NEW
    told = objects(visitor.post(path, {"message": question}).text)
    return conversation or str(told[0]["result"]["conversation"]["conversationId"])


@by_sight
def test_a_chat_of_the_persons_is_not_handed_over(
    change: Any, open_scene: Callable[..., Scene]
) -> None:
    scene = open_scene(change, answer=SECRET, thinking="")
    with Visitor(scene.site) as person:
        person.get("/")
        conversation = ask(person, QUESTION)
    for prompt in OTHER_PROMPTS:
        recover(scene, "chat", prompt, {"conversation_id": conversation})
        call, told = scene.broker.wait_for_end()

        assert (call, told["code"]) == ("error", "submit_unknown"), prompt
    assert SECRET not in scene.everything_told()
    assert len(scene.site.submits()) == 1

    # It is this check that keeps it back.
    recover(scene, "chat", QUESTION, {"conversation_id": conversation})
    assert scene.broker.wait_for_end()[1]["content"] == SECRET


@by_sight
def test_a_chat_gives_the_answer_to_the_jobs_prompt_and_not_a_later_one(
    change: Any, open_scene: Callable[..., Scene]
) -> None:
    scene = open_scene(change, answer=ANSWER, thinking="")
    with Visitor(scene.site) as person:
        person.get("/")
        conversation = ask(person, "Say it")
        scene.site.switches.answer = SECRET
        ask(person, QUESTION, conversation)

    recover(scene, "chat", "Say it", {"conversation_id": conversation})
    assert scene.broker.wait_for_end()[1]["content"] == ANSWER
    assert SECRET not in scene.everything_told()


@by_sight
def test_a_film_of_the_persons_is_not_handed_over(
    change: Any, open_scene: Callable[..., Scene]
) -> None:
    scene = open_scene(change)
    with Visitor(scene.site) as person:
        person.get("/")
        post = person.make_film(QUESTION)["videoPostId"]
    for evidence in ({"post_id": post}, {"baseline": {"parent": post}}, None):
        for prompt in OTHER_PROMPTS if evidence == {"post_id": post} else ["e"]:
            recover(scene, "video", prompt, evidence)
            call, told = scene.broker.wait_for_end()
            assert (call, told["code"]) == ("error", "submit_unknown"), (prompt, evidence)

    recover(scene, "video", QUESTION, {"post_id": post})
    call, film = scene.broker.wait_for_end()
    assert (call, film) == ("result", scene.site.films[post])
    assert len(scene.site.submits()) == 1


@by_sight
def test_pictures_of_the_persons_are_not_handed_over(
    change: Any, open_scene: Callable[..., Scene]
) -> None:
    scene = open_scene(change)
    with Visitor(scene.site) as person:
        person.get("/")
        with person.socket("/ws/imagine/listen") as line:
            person.pictures(line, QUESTION, 4)
        post = scene.site.submits()[0].post_id
    for prompt in OTHER_PROMPTS:
        recover(scene, "image", prompt, {"post_id": post})
        call, told = scene.broker.wait_for_end()
        assert (call, told["code"]) == ("error", "submit_unknown"), prompt

    recover(scene, "image", QUESTION, {"post_id": post})
    call, _ = scene.broker.wait_for_end()
    assert call == "complete"
    assert len(scene.site.submits()) == 1


def recover(scene: Scene, kind: str, prompt: str, evidence: Any) -> None:
    scene.broker.hand_out(job_type=kind, action="recover", prompt=prompt, evidence=evidence)
