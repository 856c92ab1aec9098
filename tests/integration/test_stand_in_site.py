"""The stand-in site as its own page speaks to it, over TLS and WebSockets; browsers come in the end-to-end tests."""

import hashlib
import io
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from broker.demo.site.stand_in import RateLimit, StandIn, Switches
from broker.errors import ResultRejected
from broker.media.gate import inspect_film
from tests.support.stand_in import (
    NEW,
    Visitor,
    film_request,
    objects,
    older_film_request,
    progress_of,
)

ROOT = Path(__file__).parents[2]
SITE = ROOT / "broker" / "demo" / "site"
ASSETS = "https://assets.grok.com/"
PROMPT = "A fox\n\n  runs **fast** through <snow> & “ice” 🦊 "

Visit = Callable[..., tuple[StandIn, Visitor]]


@pytest.fixture
def visit() -> Iterator[Visit]:
    """Starts a site with these switches and loads its page once."""
    with contextmanager(_open)() as open_site:
        yield open_site


def _open() -> Iterator[Visit]:
    opened: list[tuple[StandIn, Visitor]] = []

    def start(**switches: object) -> tuple[StandIn, Visitor]:
        quick = {"step_seconds": 0.0, "film_seconds": 0.6, "upload_seconds": 0.0}
        site = StandIn(Switches(**(quick | switches)))  # type: ignore[arg-type]
        visitor = Visitor(site.__enter__())
        opened.append((site, visitor))
        visitor.get("/imagine")
        return site, visitor

    yield start
    for site, visitor in opened:
        visitor.__exit__(None, None, None)
        site.__exit__(None, None, None)


def saved(data: bytes, folder: Path) -> Path:
    path = folder / "film.mp4"
    path.write_bytes(data)
    return path


# Films.


def test_a_film_is_made_served_to_the_session_and_good_enough_for_the_gate(
    visit: Visit, tmp_path: Path
) -> None:
    site, visitor = visit()
    lines = progress_of(objects(visitor.post(NEW, film_request(PROMPT)).text))

    assert [line["progress"] for line in lines] == sorted({line["progress"] for line in lines})
    assert lines[-1]["progress"] == 100
    film = visitor.get(ASSETS + lines[-1]["videoUrl"]).content
    assert film == site.films[lines[-1]["videoPostId"]]
    assert inspect_film(saved(film, tmp_path)).duration_seconds == pytest.approx(0.6, abs=0.1)


def test_every_post_has_a_film_of_its_own(visit: Visit) -> None:
    site, visitor = visit()
    for _ in range(2):
        visitor.make_film("The same words")

    assert len(set(site.films.values())) == 2


def test_the_ledger_holds_what_was_submitted_byte_for_byte(visit: Visit) -> None:
    site, visitor = visit()
    picture = b"not even a picture"
    file_id = visitor.upload(picture)
    visitor.make_film(PROMPT, files=[file_id])
    [submit] = site.submits(PROMPT)

    assert submit.kind == "video"
    assert submit.images == (hashlib.sha256(picture).hexdigest(),)
    assert submit.options["way"] == "imageToVideo"
    assert (submit.options["aspect"], submit.options["duration"]) == ("16:9", "6s")
    assert site.submits("other words") == []


def test_older_pages_are_understood_and_their_request_is_echoed(visit: Visit) -> None:
    site, visitor = visit(generation="april")
    found = objects(visitor.post(NEW, older_film_request(PROMPT)).text)
    [submit] = site.submits(PROMPT)
    echo = found[1]["result"]["response"]["userResponse"]["metadata"]["modelConfigOverride"]

    assert (submit.options["duration"], submit.options["resolution"]) == ("10s", "720p")
    assert echo["modelMap"]["videoGenModelConfig"]["parentPostId"] == submit.post_id
    assert submit.generation == "april"


def test_files_want_the_session(visit: Visit) -> None:
    site, visitor = visit()
    address = ASSETS + visitor.make_film(PROMPT)["videoUrl"]
    with Visitor(site) as stranger:
        assert stranger.get(address).status_code == 403
    assert visitor.get(address).status_code == 200


def test_the_cdn_fails_as_often_as_it_is_told(visit: Visit) -> None:
    site, visitor = visit()
    address = ASSETS + visitor.make_film(PROMPT)["videoUrl"]
    site.switches.cdn_refusals, site.switches.cdn_missing = 1, 2

    # What the page's own element loads is neither refused nor counted.
    assert visitor.get(address, headers={"Sec-Fetch-Dest": "video"}).status_code == 200
    assert [visitor.get(address).status_code for _ in range(4)] == [403, 404, 404, 200]


@pytest.mark.parametrize(
    ("kind", "gate_class"), [("empty", "empty"), ("placeholder", "implausible_duration")]
)
def test_a_bad_film_is_one_that_the_gate_refuses(
    visit: Visit, tmp_path: Path, kind: str, gate_class: str
) -> None:
    _, visitor = visit(film=kind)
    film = visitor.get(ASSETS + visitor.make_film(PROMPT)["videoUrl"]).content

    with pytest.raises(ResultRejected) as refused:
        inspect_film(saved(film, tmp_path))
    assert refused.value.gate_class == gate_class


def test_the_previous_film_can_be_served_again(visit: Visit) -> None:
    site, visitor = visit()
    first = visitor.make_film("First")["videoPostId"]
    site.switches.film = "previous"
    second = visitor.get(ASSETS + visitor.make_film("Second")["videoUrl"]).content

    assert second == site.films[first]


def test_a_huge_film_is_padded_and_still_a_film(visit: Visit, tmp_path: Path) -> None:
    _, visitor = visit(film="huge", huge_bytes=300_000)
    film = visitor.get(ASSETS + visitor.make_film(PROMPT)["videoUrl"]).content

    assert len(film) > 300_000
    assert inspect_film(saved(film, tmp_path)).width == 320


def test_a_part_of_a_film_can_be_asked_for(visit: Visit) -> None:
    site, visitor = visit()
    done = visitor.make_film(PROMPT)
    part = visitor.get(ASSETS + done["videoUrl"], headers={"Range": "bytes=10-19"})

    assert (part.status_code, part.content) == (206, site.films[done["videoPostId"]][10:20])


def test_two_films_are_told_apart_by_their_side(visit: Visit) -> None:
    _, visitor = visit(side_by_side=True)
    lines = progress_of(objects(visitor.post(NEW, film_request(PROMPT)).text))

    assert {line["sideBySideIndex"] for line in lines} == {0, 1}
    assert len({line["videoUrl"] for line in lines if "videoUrl" in line}) == 2


def test_a_moderated_film_ends_without_an_address(visit: Visit) -> None:
    _, visitor = visit(moderation=True)
    last = visitor.make_film(PROMPT)

    assert (last["progress"], last["moderated"], "videoUrl" in last) == (100, True, False)


# Holds, and what goes on meanwhile.


def test_a_hold_before_acceptance_keeps_every_id_back(visit: Visit) -> None:
    site, visitor = visit()
    site.hold("accepted")
    site.hold("progress")
    with visitor.stream("POST", NEW, json=film_request(PROMPT)) as pieces:
        submit = site.wait_for_submit(PROMPT)
        site.wait_until_held("accepted")
        site.release("accepted")
        first = next(pieces).decode()
        site.wait_until_held("progress")
    assert objects(first)[0]["result"]["conversation"]["conversationId"] == submit.conversation_id


def test_a_generation_goes_on_while_nobody_watches(visit: Visit) -> None:
    site, visitor = visit()
    site.hold("progress")
    with visitor.stream("POST", NEW, json=film_request(PROMPT)):
        site.wait_until_held("progress")
    post_id = site.submits()[0].post_id or ""
    site.hold("final")
    site.release("progress")
    site.wait_until_held("final")
    nearly = visitor.post_told(post_id)
    site.release("final")
    visitor.make_film("Something to wait for")
    done = visitor.post_told(post_id)

    assert (nearly["state"], nearly["progress"], nearly["mediaUrl"]) == ("running", 94, "")
    assert (done["state"], done["progress"]) == ("done", 100)
    assert visitor.get(ASSETS + done["mediaUrl"]).status_code == 200


def test_half_a_film_can_be_held_back(visit: Visit) -> None:
    site, visitor = visit()
    done = visitor.make_film(PROMPT)
    whole = site.films[done["videoPostId"]]
    site.hold("media_middle")
    with visitor.stream("GET", ASSETS + done["videoUrl"]) as pieces:
        site.wait_until_held("media_middle")
        half = next(pieces)
        site.release("media_middle")
        rest = b"".join(pieces)

    assert len(half) == pytest.approx(len(whole) / 2, abs=1)
    assert half + rest == whole


def test_a_hold_that_is_set_again_holds_again(visit: Visit) -> None:
    site, visitor = visit()
    for _ in range(2):
        site.hold("accepted")
        with visitor.stream("POST", NEW, json=film_request(PROMPT)) as pieces:
            site.wait_until_held("accepted")
            site.release("accepted")
            assert b"conversationId" in b"".join(pieces)
    with pytest.raises(TimeoutError):
        site.wait_until_held("accepted", timeout=0.0)


def test_a_cut_stream_does_not_stop_the_work(visit: Visit) -> None:
    site, visitor = visit(cut_off=True)
    site.hold("final")
    last = visitor.make_film(PROMPT)
    site.wait_until_held("final")

    assert last["progress"] < 100
    assert visitor.post_told(last["videoPostId"])["progress"] == 94


def test_a_stopped_film_stays_stopped(visit: Visit) -> None:
    site, visitor = visit(stalled=True)
    site.hold("progress")
    with visitor.stream("POST", NEW, json=film_request(PROMPT)) as pieces:
        site.wait_until_held("progress")
        submit = site.submits()[0]
        visitor.post(f"/rest/app-chat/conversations/{submit.conversation_id}/stop", {})
        assert b"videoUrl" not in b"".join(pieces)
    assert visitor.post_told(submit.post_id or "")["state"] == "stopped"


def test_the_site_can_be_left_with_everything_still_open(visit: Visit) -> None:
    site, visitor = visit()
    site.hold("progress")
    with visitor.socket("/ws/mgw/?uid=1"), visitor.stream("POST", NEW, json=film_request(PROMPT)):
        site.wait_until_held("progress")
        site.__exit__(None, None, None)

    with pytest.raises(httpx.ConnectError):
        visitor.get("/")


# Chats.


def test_a_chat_streams_thoughts_markup_and_words(visit: Visit) -> None:
    site, visitor = visit(thinking="I think.", answer="Ünïcode **answer**\n\nof four words")
    found = [thing["result"] for thing in objects(visitor.post(NEW, {"message": PROMPT}).text)]
    pieces = [thing["response"] for thing in found if "token" in thing.get("response", {})]
    text = "".join(piece["token"] for piece in pieces if piece.get("messageTag") == "final")
    whole = [thing["response"]["modelResponse"] for thing in found if "modelResponse" in str(thing)]

    assert site.submits(PROMPT)[0].kind == "chat"
    assert text == whole[0]["message"] == "Ünïcode **answer**\n\nof four words"
    assert "".join(piece["token"] for piece in pieces if piece["isThinking"]) == "I think."
    assert any(piece.get("messageTag") == "tool_usage_card" for piece in pieces)
    assert any("finalMetadata" in thing.get("response", {}) for thing in found)


def test_some_objects_of_a_stream_are_glued_together(visit: Visit) -> None:
    _, visitor = visit()
    text = visitor.post(NEW, {"message": PROMPT}).text

    assert "}{" in text
    assert "}\n{" in text


def test_a_later_turn_carries_its_fields_directly(visit: Visit) -> None:
    site, visitor = visit(answer="Yes")
    visitor.post(NEW, {"message": "One"})
    path = f"/rest/app-chat/conversations/{site.submits()[0].conversation_id}/responses"
    found = objects(visitor.post(path, {"message": "Two"}).text)

    assert not any("conversation" in thing["result"] for thing in found)
    assert any(thing["result"].get("token") == "Yes" for thing in found)
    turns = visitor.get(path).json()["responses"]
    assert [turn["message"] for turn in turns] == ["One", "Yes", "Two", "Yes"]
    assert not any(turn["partial"] for turn in turns)


def test_the_socket_sends_one_kind_of_piece_for_each_answer(visit: Visit) -> None:
    site, visitor = visit(answer="A longer answer in words")
    with visitor.socket("/ws/mgw/?uid=1") as line:
        answers = [visitor.chat(line, text) for text in ("One", "Two")]
    kinds = [
        {event["type"] for event in events if event["type"].endswith(("chunk", "text.delta"))}
        for events in answers
    ]
    chunks = [event["chunk"]["text"] for event in answers[0] if "text" in event.get("chunk", {})]
    channels = {chunk["channel"] for chunk in chunks}
    deltas = [event["delta"] for event in answers[1] if event["type"].endswith("text.delta")]

    assert "response.output_text.delta" not in kinds[0]
    assert channels == {"CHANNEL_ANALYSIS", "CHANNEL_ASSISTANT_RESPONSE"}
    assert "".join(deltas) == "A longer answer in words"
    assert [events[-1]["response"]["status"] for events in answers] == ["completed"] * 2
    assert [submit.prompt for submit in site.submits()] == ["One", "Two"]


def test_an_answer_that_is_cut_off_is_incomplete(visit: Visit) -> None:
    _, visitor = visit(cut_off=True)
    found = objects(visitor.post(NEW, {"message": "One"}).text)
    with visitor.socket("/ws/mgw/?uid=1") as line:
        events = visitor.chat(line, "Two")

    assert "modelResponse" not in str(found)
    assert events[-1]["response"]["status"] == "incomplete"


# Pictures.


def test_a_batch_of_pictures_shows_previews_and_then_files(visit: Visit) -> None:
    site, visitor = visit(image_count=2)
    with visitor.socket("/ws/imagine/listen") as line:
        frames = visitor.pictures(line, PROMPT, 2)
    shown = [frame for frame in frames if frame["type"] == "image"]
    urls = {frame["url"] for frame in shown if frame["percentage_complete"] == 100}

    assert min(frame["percentage_complete"] for frame in shown) < 100
    assert len(urls) == 2
    for url in urls:
        assert re.fullmatch(r"https://imagine-public\.x\.ai/imagine-public/images/[\w-]+\.jpg", url)
        with Visitor(site) as stranger, Image.open(io.BytesIO(stranger.get(url).content)) as image:
            assert (image.format, image.size) == ("JPEG", (512, 512))
    assert site.submits(PROMPT)[0].options["aspect"] == "1:1"


def test_a_moderated_slot_ends_without_a_picture(visit: Visit) -> None:
    _, visitor = visit(image_count=2, moderation=True)
    with visitor.socket("/ws/imagine/listen") as line:
        frames = visitor.pictures(line, PROMPT, 2)
    ended = {
        frame["image_id"]: frame["moderated"]
        for frame in frames
        if frame.get("current_status") == "completed"
    }
    whole = [frame["image_id"] for frame in frames if frame.get("percentage_complete") == 100]

    assert sorted(ended.values()) == [False, True]
    blocked = next(image for image, moderated in ended.items() if moderated)
    assert whole.count(blocked) == 1  # Its `json` frame, and no `image` frame.


def test_a_picture_that_starts_from_one_is_streamed_and_private(visit: Visit) -> None:
    site, visitor = visit()
    data = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(data, "PNG")
    file_id = visitor.upload(data.getvalue())
    override = {"modelMap": {"imageEditModelConfig": {"imageReferences": [file_id]}}}
    body = {"message": "Bluer", "responseMetadata": {"modelConfigOverride": override}}
    found = objects(visitor.post(NEW, body).text)
    urls = found[-1]["result"]["response"]["modelResponse"]["generatedImageUrls"]

    assert site.submits("Bluer")[0].images == (hashlib.sha256(data.getvalue()).hexdigest(),)
    assert len(urls) == 2
    assert visitor.get(urls[0]).headers["content-type"] == "image/jpeg"
    with Visitor(site) as stranger:
        assert stranger.get(urls[0]).status_code == 403


# What stands in the way.


@pytest.mark.parametrize(
    ("told_by", "header", "at", "words"),
    [
        ("header", "2500", False, "Rate limit reached"),
        ("body", None, True, "Rate limit reached"),
        ("words", None, False, "Rate limit reached. Try again in 42 minutes."),
    ],
)
def test_a_rate_limit_says_until_when_in_each_way(
    visit: Visit, told_by: str, header: str | None, at: bool, words: str
) -> None:
    site, visitor = visit(rate_limit=RateLimit(2500, {"video"}, told_by))  # type: ignore[arg-type]
    refused = visitor.post(NEW, film_request(PROMPT))
    error = refused.json()["error"]

    assert (refused.status_code, refused.headers.get("retry-after")) == (429, header)
    assert ("availableAt" in error, error["message"]) == (at, words)
    assert visitor.post(NEW, {"message": "Chats go on"}).status_code == 200
    assert site.submits(PROMPT) == []


def test_the_sockets_refuse_with_an_event(visit: Visit) -> None:
    site, visitor = visit(rate_limit=RateLimit(60))
    with visitor.socket("/ws/mgw/?uid=1") as line:
        chat = visitor.chat(line, "One")[-1]
    with visitor.socket("/ws/imagine/listen") as line:
        picture = visitor.pictures(line, "Two", 1)[-1]

    assert {chat["error"]["code"], picture["error"]["code"]} == {8}
    assert "availableAt" in chat["error"]
    assert site.submits() == []


@pytest.mark.parametrize(
    ("switch", "status"), [({"paywall": True}, 402), ({"signed_in": False}, 401)]
)
def test_a_wall_refuses_films(visit: Visit, switch: dict[str, bool], status: int) -> None:
    site, visitor = visit(**switch)

    assert visitor.post(NEW, film_request(PROMPT)).status_code == status
    assert site.submits() == []


def test_a_human_check_stands_before_everything_until_a_person_comes(visit: Visit) -> None:
    _, visitor = visit(human_check=True)
    page, data = visitor.get("/imagine"), visitor.post(NEW, film_request(PROMPT))

    assert (page.status_code, data.status_code) == (403, 403)
    assert "Just a moment..." in page.text
    visitor.post("/stand-in/verified", {})
    assert visitor.get("/imagine").status_code == 200


def test_a_stale_page_heals_when_it_is_loaded_again(visit: Visit) -> None:
    _, visitor = visit(page_stale=True, page_stale_heals=True)
    refused = visitor.post(NEW, film_request(PROMPT))
    visitor.get("/imagine")

    assert (refused.status_code, "out of date" in refused.text) == (403, True)
    assert visitor.post(NEW, film_request(PROMPT)).status_code == 200


def test_a_person_can_sign_in(visit: Visit) -> None:
    site, visitor = visit(signed_in=False)
    before = visitor.get("/api/auth/session").json()
    answer = visitor.post("https://accounts.x.ai/sign-in", {})

    assert before == {"status": "unauthenticated"}
    assert (answer.status_code, answer.headers["location"]) == (303, "https://grok.com/")
    assert "session" in visitor.get("/api/auth/session").json()
    assert site.switches.signed_in


def test_the_quota_follows_the_ledger_and_the_limit(visit: Visit) -> None:
    site, visitor = visit(answer="Yes")
    visitor.post(NEW, {"message": "One"})
    left = visitor.post("/rest/rate-limits", {}).json()["remainingQueries"]
    site.switches.rate_limit = RateLimit(90, {"video"})
    media = visitor.post("/rest/media/imagine/quota_info", {}).json()

    assert left == 139
    assert (media["video"]["available"], media["image"]["available"]) == (False, True)
    assert "nextAvailableAt" in media["video"]


def test_an_unknown_host_gets_nothing(visit: Visit) -> None:
    site, _ = visit()
    response = httpx.get(f"https://127.0.0.1:{site.port}/", verify=False, trust_env=False)

    assert response.status_code == 404


def test_the_command_says_how_to_look_and_ends_quietly() -> None:
    command = [sys.executable, "-m", "broker.demo.site", "--generation", "february"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = "".join(iter(process.stdout.readline, "Ctrl-C ends it.\n"))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0

    assert "--host-resolver-rules=MAP grok.com 127.0.0.1:" in said


# The page.


def test_the_page_comes_with_a_strict_policy_and_a_session(visit: Visit) -> None:
    _, visitor = visit()
    page = visitor.get("/c/anything")

    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "Domain=.grok.com" in page.headers["set-cookie"]
    assert "Stand-in site: not grok.com" in page.text
    assert visitor.get("/static/app.js").headers["content-type"].startswith("text/javascript")


def test_every_script_that_the_page_imports_is_there() -> None:
    scripts = sorted((SITE / "static").glob("*.js"))
    wanted = {
        name
        for script in scripts
        for name in re.findall(r'from "\./([^"]+)"', script.read_text("utf-8"))
    }

    assert wanted <= {script.name for script in scripts}
    assert wanted | {"app.js"} == {script.name for script in scripts}


def test_the_editor_is_small_and_names_every_licence_inside() -> None:
    bundle = SITE / "static" / "editor.bundle.js"
    notice = (SITE / "static" / "editor.LICENSES.txt").read_text("utf-8")
    lock = (SITE / "editor" / "package-lock.json").read_text("utf-8")
    packages = set(re.findall(r'"node_modules/((?:@tiptap/|prosemirror-)[\w-]+)"', lock))
    bundled = {name for name in packages if name in notice}

    assert bundle.stat().st_size < 700_000
    assert '"resolved"' not in lock
    assert {"@tiptap/core", "@tiptap/pm", "prosemirror-view", "prosemirror-model"} <= bundled
