"""A client's words about a video: what becomes of each, and how the job is told in three dialects."""

import json
from pathlib import Path
from typing import Any

import pytest

from broker.api.bodies import validated
from broker.api.openai.videos.dialects import (
    Dialect,
    deferred_video,
    dialect_of,
    openai_video,
    poll_after_ms,
    shown_seconds,
    shown_size,
)
from broker.api.openai.videos.sources import (
    id_of,
    named_source,
    require_operation,
    source_options,
)
from broker.api.openai.videos.translate import (
    FOR_CREATE,
    FOR_EDIT,
    FOR_EXTENSION,
    IMAGE_FILES,
    UNSUPPORTED,
    film_options,
    input_images,
    is_choosy,
    refuse_unsupported,
)
from broker.api.openai.videos.wire import (
    CreateVideo,
    DeferredVideo,
    EditVideo,
    ExtendVideo,
    OpenAIVideo,
    OpenAIVideoList,
    RemixVideo,
    VideoDeleted,
)
from broker.errors import (
    BadRequest,
    InvalidValue,
    MissingParameter,
    NotFound,
    UnsupportedParameter,
)
from broker.ids import JobId, uuid_spelling, video_spelling
from broker.jobs import JobState, Payload
from broker.offers import Offers
from broker.ports import Record
from tests.support.builders import NOW, a_film_result, a_job, a_lease

NOTHING_KNOWN = Offers()
PAGE = Offers(
    durations=frozenset({6, 10}),
    resolutions=frozenset({"480p", "720p"}),
    aspects=frozenset({"16:9", "9:16", "1:1"}),
    operations=frozenset({"remix"}),
    max_images=2,
)


def asked(**fields: Any) -> CreateVideo:
    return validated(CreateVideo, {"prompt": "a cat", **fields})


def exactly(offers: Offers = NOTHING_KNOWN, **fields: Any) -> dict[str, Any]:
    return film_options(asked(**fields), offers, is_exact=True)


def nearly(offers: Offers = NOTHING_KNOWN, **fields: Any) -> dict[str, Any]:
    return film_options(asked(**fields), offers, is_exact=False)


# Options.


def test_who_asks_for_nothing_gets_what_the_page_has() -> None:
    assert exactly() == nearly() == exactly(PAGE) == nearly(PAGE) == {}


def test_the_words_of_this_site_are_taken_as_they_are() -> None:
    words = {"duration": 7, "aspect_ratio": "3:2", "resolution": "1080p"}
    options = {"duration_seconds": 7, "aspect": "3:2", "resolution": "1080p"}

    assert exactly(**words) == nearly(**words) == options


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("duration", 7, "6, 10"),
        ("resolution", "1080p", "480p, 720p"),
        ("aspect_ratio", "3:2", "16:9"),
    ],
)
@pytest.mark.parametrize("is_exact", [True, False])
def test_what_no_page_offers_is_refused_by_name_with_what_there_is(
    field: str, value: Any, told: str, is_exact: bool
) -> None:
    with pytest.raises(InvalidValue) as refused:
        film_options(asked(**{field: value}), PAGE, is_exact=is_exact)

    assert refused.value.param == field
    assert str(value) in refused.value.message
    assert told in refused.value.message


@pytest.mark.parametrize(
    ("seconds", "given"), [(1, 6), (4, 6), ("7", 6), ("8", 10), (12, 10), (20, 10)]
)
@pytest.mark.parametrize("offers", [NOTHING_KNOWN, PAGE])
def test_openais_seconds_are_the_nearest_that_there_are(
    seconds: Any, given: int, offers: Offers
) -> None:
    assert nearly(offers, seconds=seconds) == {"duration_seconds": given}


def test_seconds_on_an_exact_route_are_exact() -> None:
    assert exactly(seconds="8") == {"duration_seconds": 8}
    assert exactly(PAGE, seconds="10") == {"duration_seconds": 10}
    with pytest.raises(InvalidValue) as refused:
        exactly(PAGE, seconds="8")
    assert refused.value.param == "seconds"


def test_the_sites_own_word_goes_before_openais() -> None:
    options = nearly(
        duration=6, seconds="12", aspect_ratio="1:1", resolution="480p", size="1280x720"
    )

    assert options == {"duration_seconds": 6, "aspect": "1:1", "resolution": "480p"}


@pytest.mark.parametrize(
    ("size", "aspect", "resolution"),
    [
        ("720x1280", "9:16", "720p"),
        ("1280x720", "16:9", "720p"),
        ("1024x1792", "9:16", "720p"),
        ("1792x1024", "16:9", "720p"),
        ("854x480", "16:9", "480p"),
        ("512x512", "1:1", "480p"),
    ],
)
@pytest.mark.parametrize("offers", [NOTHING_KNOWN, PAGE])
def test_a_size_is_a_shape_and_the_nearest_resolution(
    size: str, aspect: str, resolution: str, offers: Offers
) -> None:
    assert nearly(offers, size=size) == {"aspect": aspect, "resolution": resolution}


def test_a_size_on_an_exact_route_must_be_offered() -> None:
    assert exactly(size="1920x1080") == {"aspect": "16:9", "resolution": "1080p"}
    for size in ("1920x1080", "720x1080"):
        with pytest.raises(InvalidValue) as refused:
            exactly(PAGE, size=size)
        assert refused.value.param == "size"


def test_a_size_of_no_known_shape_is_refused() -> None:
    with pytest.raises(InvalidValue) as refused:
        nearly(size="1000x400")

    assert refused.value.param == "size"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("duration", 0),
        ("duration", 16),
        ("duration", "long"),
        ("seconds", "0"),
        ("seconds", 21),
        ("size", "big"),
        ("size", "0x0"),
        ("resolution", "8k"),
        ("aspect_ratio", "16/9"),
        ("prompt", " "),
        ("priority", 10),
        ("reference_images", "x"),
    ],
)
def test_a_wrong_value_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        asked(**{field: value})

    assert (refused.value.param or "").startswith(field)


def test_only_those_who_choose_are_held_against_the_pages() -> None:
    assert not is_choosy(asked(model="grok", priority=3, on_lost="fail", webhook_url="https://x/"))
    for field in ({"duration": 6}, {"size": "720x1280"}, {"image": "x"}, {"seconds": "8"}):
        assert is_choosy(asked(**field))


# What cannot be had.


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("last_frame", {"url": "data:,"}),
        ("keyframes", [{"image": {"url": "data:,"}, "timestamp_s": 1}]),
        ("reference_audios", [{"voice_id": "v"}]),
        ("generate_audio", False),
        ("storage_options", {"filename": "x.mp4"}),
        ("output", {"upload_url": "https://x/"}),
        ("characters", [{"id": "char_1"}]),
        ("negative_prompt", "dogs"),
        ("seed", 0),
        ("fps", 24),
        ("n", 2),
        ("video", {"url": "https://x/a.mp4"}),
        ("video_url", "https://x/a.mp4"),
    ],
)
def test_what_would_change_the_film_and_cannot_be_had_is_refused_by_name(
    field: str, value: Any
) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        refuse_unsupported({"prompt": "x", field: value}, (), FOR_CREATE)

    assert refused.value.param == field
    assert field in refused.value.message


def test_what_asks_for_nothing_special_and_what_is_not_known_is_ignored() -> None:
    body = {
        "prompt": "x",
        "user": "someone",
        "metadata": {"a": "b"},
        "generate_audio": True,
        "n": 1,
        "seed": None,
        "keyframes": [],
        "storage_options": {},
        "invented": {"deep": [1]},
    }

    refuse_unsupported(body, (), FOR_CREATE)


@pytest.mark.parametrize("wishes", [FOR_EDIT, FOR_EXTENSION])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("aspect_ratio", "16:9"),
        ("resolution", "720p"),
        ("size", "720x1280"),
        ("image", {"url": "data:,"}),
        ("reference_images", [{"url": "data:,"}]),
        ("keyframes", [{}]),
    ],
)
def test_a_film_made_of_another_keeps_its_shape(wishes: Any, field: str, value: Any) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        refuse_unsupported({field: value}, (), wishes)

    assert refused.value.param == field


def test_only_an_extension_has_a_length_of_its_own() -> None:
    refuse_unsupported({"duration": 6, "seconds": "6"}, (), FOR_EXTENSION)
    with pytest.raises(UnsupportedParameter):
        refuse_unsupported({"seconds": "6"}, (), FOR_EDIT)


def test_a_file_that_has_no_use_is_refused_by_name() -> None:
    refuse_unsupported({}, ("image", "input_reference"), FOR_CREATE, IMAGE_FILES)
    with pytest.raises(UnsupportedParameter) as refused:
        refuse_unsupported({}, ("mask",), FOR_CREATE, IMAGE_FILES)

    assert refused.value.param == "mask"


# Images.


@pytest.mark.parametrize(
    "fields",
    [
        {"image": "PIC"},
        {"image": {"url": "PIC"}},
        {"image": {"image_url": "PIC"}},
        {"image": {"image_url": {"url": "PIC"}}},
        {"image": ["PIC"]},
        {"image": [{"url": "PIC"}]},
        {"image_url": "PIC"},
        {"input_reference": "PIC"},
        {"input_reference": {"image_url": "PIC"}},
        {"reference_images": [{"url": "PIC"}]},
    ],
)
def test_an_image_is_taken_however_it_is_given(fields: Any) -> None:
    assert input_images(asked(**fields), {}, NOTHING_KNOWN) == ["PIC"]


def test_images_come_in_order_first_the_one_to_begin_with() -> None:
    request = asked(reference_images=[{"url": "two"}, "three"], image={"url": "one"})

    assert input_images(request, {}, NOTHING_KNOWN) == ["one", "two", "three"]


def test_files_of_a_form_are_images_too() -> None:
    files = {"input_reference": [b"one"], "image": [b"two", b"three"]}

    assert input_images(asked(), files, NOTHING_KNOWN) == [b"two", b"three", b"one"]


def test_more_images_than_the_page_takes_are_refused() -> None:
    with pytest.raises(InvalidValue) as refused:
        input_images(asked(image=["a", "b", "c"]), {}, PAGE)

    assert refused.value.param == "image"


@pytest.mark.parametrize("field", ["image", "input_reference"])
def test_a_files_id_is_refused_by_name(field: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        input_images(asked(**{field: {"file_id": "file_1"}}), {}, NOTHING_KNOWN)

    assert refused.value.param == f"{field}.file_id"


# The film that another is made of.

JOB_ID = JobId("job_" + "ab" * 16)


def edit(**fields: Any) -> EditVideo:
    return validated(EditVideo, {"prompt": "more", **fields})


@pytest.mark.parametrize(
    "video",
    [
        {"id": JOB_ID},
        {"id": video_spelling(JOB_ID)},
        {"id": uuid_spelling(JOB_ID)},
        JOB_ID,
        {"url": f"http://localhost:8000/videos/{JOB_ID}.mp4"},
        {"url": f"https://broker.example/behind/videos/{JOB_ID}.mp4?x=1#t"},
        {"url": f"http://localhost:8000/v1/videos/{video_spelling(JOB_ID)}/content"},
        {"url": f"/videos/{JOB_ID}.mp4"},
        f"http://localhost:8000/videos/{JOB_ID}.mp4",
    ],
)
def test_a_film_of_ours_is_known_by_its_id_and_by_its_url(video: Any) -> None:
    assert named_source(edit(video=video), ()) == JOB_ID


def test_the_flat_word_for_the_url_is_known_too() -> None:
    assert named_source(edit(video_url=f"http://x/videos/{JOB_ID}.mp4"), ()) == JOB_ID


@pytest.mark.parametrize(
    ("video", "param"),
    [
        ({"url": "https://example.com/cat.mp4"}, "video.url"),
        ({"url": "data:video/mp4;base64,AAAA"}, "video.url"),
        ({"url": "http://[/videos/x.mp4"}, "video.url"),
        ({"url": "http://localhost/videos/..%2f.mp4"}, "video.url"),
        ("https://example.com/cat.mp4", "video"),
        ({"file_id": "file_1"}, "video.file_id"),
    ],
)
def test_anybody_elses_video_is_refused_by_name_with_what_works(video: Any, param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        named_source(edit(video=video), ())

    assert refused.value.param == param
    assert "made here" in refused.value.message


def test_a_video_file_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        named_source(edit(), ("video",))

    assert refused.value.param == "video"


@pytest.mark.parametrize("fields", [{}, {"video": {}}, {"video": ""}, {"video": None}])
def test_without_a_video_nothing_is_made_of_one(fields: Any) -> None:
    with pytest.raises(MissingParameter) as refused:
        named_source(edit(**fields), ())

    assert refused.value.param == "video"


def test_an_id_that_is_none_names_no_job() -> None:
    for text in ("", "nope", "video_123", JOB_ID + "\n", "../etc"):
        with pytest.raises(NotFound):
            id_of(text)


def test_what_no_page_can_do_to_a_film_is_refused_by_name() -> None:
    require_operation("remix", PAGE)
    for operation in ("edit", "extend", "remix"):
        require_operation(operation, NOTHING_KNOWN)
    with pytest.raises(UnsupportedParameter) as refused:
        require_operation("edit", PAGE)

    assert "edit" in refused.value.message
    assert "remix" in refused.value.message
    with pytest.raises(BadRequest):
        require_operation("remix", Offers(operations=frozenset()))


def test_a_worker_is_told_all_that_is_known_of_the_source() -> None:
    job = a_job(evidence='{"post_id": "p1"}')

    assert source_options("edit", job, a_film_result()) == {
        "operation": "edit",
        "source": {
            "job_id": job.id,
            "evidence": {"post_id": "p1"},
            "duration_seconds": 6.0,
            "size": "640x360",
        },
    }


# Dialects.

PENDING = a_job()
RUNNING = PENDING._replace(state=JobState.PROCESSING, lease=a_lease()._replace(progress=41))
DONE = PENDING._replace(state=JobState.COMPLETED, finished_at=NOW + 60)
REFUSED = PENDING._replace(
    state=JobState.FAILED, error_code="moderated", error_message="No.", finished_at=NOW + 60
)
CANCELLED = PENDING._replace(
    state=JobState.CANCELLED, error_code="cancelled", error_message="Stopped."
)
FILM = a_film_result()


def in_openais_words(job: Any, result: Any = None, options: Any = None) -> dict[str, Any]:
    payload = Payload("a cat", options=json.dumps(options) if options else None)
    return openai_video(Record(job, result), payload, 7.0).model_dump()


def in_xais_words(job: Any, result: Any = None) -> dict[str, Any]:
    return deferred_video(Record(job, result), "http://x/film.mp4").model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("spelling", "dialect"),
    [
        (JOB_ID, Dialect.SEED),
        (video_spelling(JOB_ID), Dialect.OPENAI),
        (uuid_spelling(JOB_ID), Dialect.XAI),
    ],
)
def test_the_spelling_of_an_id_chooses_the_dialect(spelling: str, dialect: Dialect) -> None:
    assert dialect_of(spelling) == dialect


def test_openai_is_told_every_field_in_every_state() -> None:
    names = {
        *("id", "object", "model", "status", "progress", "created_at", "completed_at"),
        *("expires_at", "prompt", "size", "seconds", "remixed_from_video_id", "error"),
    }
    told = {
        "queued": in_openais_words(PENDING),
        "in_progress": in_openais_words(RUNNING),
        "completed": in_openais_words(DONE, FILM),
        "failed": in_openais_words(REFUSED),
    }

    for status, video in told.items():
        assert names <= set(video)
        assert video["status"] == status
        assert isinstance(video["seconds"], str)
    assert told["in_progress"]["progress"] == 41
    assert told["completed"]["completed_at"] == int(NOW + 60)
    assert told["completed"]["expires_at"] == int(NOW + 60) + 7 * 86_400
    assert told["failed"]["error"] == {"code": "content_policy_violation", "message": "No."}
    assert told["failed"]["completed_at"] is None
    assert in_openais_words(CANCELLED)["error"]["code"] == "cancelled"


def test_xai_is_told_in_its_four_states() -> None:
    request_id = uuid_spelling(PENDING.id)
    pending = {"status": "pending", "progress": 41, "model": "grok", "request_id": request_id}

    assert in_xais_words(RUNNING) == pending
    assert in_xais_words(DONE, FILM) == {
        "status": "done",
        "progress": 100,
        "model": "grok",
        "request_id": request_id,
        "video": {"url": "http://x/film.mp4", "duration": 6, "respect_moderation": True},
        "usage": {"cost_in_usd_ticks": 0},
    }
    assert in_xais_words(REFUSED)["error"]["code"] == "content_policy_violation"
    assert (in_xais_words(CANCELLED)["status"], in_xais_words(CANCELLED)["progress"]) == (
        "failed",
        0,
    )
    pruned = in_xais_words(DONE, FILM._replace(removed_at=NOW))
    assert pruned["status"] == "expired"
    assert "video" not in pruned


def test_seconds_and_size_are_the_films_own_once_it_is_there() -> None:
    asked_for = {"duration_seconds": 10, "aspect": "9:16", "resolution": "720p"}

    before, after = (
        in_openais_words(RUNNING, None, asked_for),
        in_openais_words(DONE, FILM, asked_for),
    )

    assert (before["seconds"], before["size"]) == ("10", "720x1280")
    assert (after["seconds"], after["size"]) == ("6", "640x360")


@pytest.mark.parametrize(
    ("options", "seconds", "size"),
    [
        ({}, "6", "854x480"),
        ({"aspect": "1:1", "resolution": "720p"}, "6", "720x720"),
        ({"aspect": "2:3"}, "6", "480x720"),
        ({"operation": "edit", "source": {"duration_seconds": 9.9, "size": "1x2"}}, "10", "1x2"),
        ({"operation": "remix", "source": {}}, "6", "854x480"),
        (
            {"operation": "extend", "source": {"duration_seconds": 6.0}, "duration_seconds": 10},
            "16",
            "854x480",
        ),
    ],
)
def test_before_the_film_is_there_what_was_asked_for_is_told(
    options: Any, seconds: str, size: str
) -> None:
    assert (shown_seconds(options, None), shown_size(options, None)) == (seconds, size)


def test_a_remix_names_the_video_it_is_made_of() -> None:
    options = {"operation": "remix", "source": {"job_id": JOB_ID}}

    assert in_openais_words(PENDING, None, options)["remixed_from_video_id"] == video_spelling(
        JOB_ID
    )
    assert in_openais_words(PENDING)["remixed_from_video_id"] is None


def test_a_client_is_told_when_to_ask_again_by_how_the_job_stands() -> None:
    assert poll_after_ms(PENDING, NOW) == poll_after_ms(RUNNING, NOW) == 2000
    assert poll_after_ms(PENDING._replace(ready_at=NOW + 9.5), NOW) == 9500
    assert poll_after_ms(PENDING._replace(ready_at=NOW + 3600), NOW) == 15_000
    assert poll_after_ms(PENDING._replace(ready_at=NOW - 5), NOW) == 2000
    assert poll_after_ms(DONE, NOW) is poll_after_ms(REFUSED, NOW) is None


# The page that tells of all this.


def told_of_videos() -> str:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    return text.partition("## Videos\n")[2].partition("## Images\n")[0]


@pytest.mark.parametrize(
    "shape",
    [EditVideo, ExtendVideo, RemixVideo, OpenAIVideo, OpenAIVideoList, VideoDeleted, DeferredVideo],
)
def test_every_field_of_every_shape_is_told(shape: Any) -> None:
    text = told_of_videos()

    for field in shape.model_fields:
        assert f"`{field}`" in text or f'"{field}":' in text, field


def test_every_word_that_is_refused_is_told() -> None:
    text = told_of_videos()

    assert len(UNSUPPORTED) > 5
    for param in {**FOR_CREATE, **FOR_EXTENSION, **FOR_EDIT}:
        assert f"`{param}`" in text, param
