"""What can go wrong for a worker, by class, and what each class means. What becomes of the job: `retries.py`."""

from enum import StrEnum
from typing import NamedTuple


class Next(StrEnum):
    AGAIN = "again"
    #: As again, at once: the fault lies with this worker, another may take it.
    HAND_ON = "hand_on"
    WAIT = "wait"
    RECOVER = "recover"
    FAIL = "fail"


class Rule(NamedTuple):
    """What follows a failure of one class."""

    next: Next
    message: str
    #: It uses an attempt up.
    counts: bool = False
    #: Said right after submit was pressed, it means that the site refused the prompt: nothing was spent.
    is_refusal: bool = False
    #: It happens only after the site took the prompt, whatever phase the worker had told.
    is_spent: bool = False
    #: The worker takes no job of this kind until it says hello again.
    sets_aside: bool = False
    #: It is recovered from once: that the same comes again shows that there is nothing better to be found.
    once: bool = False


#: Failure class → what follows. `docs/job-life.md` shows the same classes; a test compares them.
RULES: dict[str, Rule] = {
    "rate_limited": Rule(Next.WAIT, "Grok's limit is reached.", is_refusal=True),
    "site_down": Rule(Next.AGAIN, "Grok is not answering."),
    "not_logged_in": Rule(
        Next.HAND_ON, "Nobody is signed in to Grok in that tab.", is_refusal=True, sets_aside=True
    ),
    "challenge_required": Rule(
        Next.HAND_ON, "Grok asks for a human check in that tab.", is_refusal=True, sets_aside=True
    ),
    "paywall": Rule(
        Next.HAND_ON, "This Grok account does not offer that.", is_refusal=True, sets_aside=True
    ),
    "ui_changed": Rule(Next.HAND_ON, "The worker is lost on Grok's page.", sets_aside=True),
    "page_stale": Rule(Next.AGAIN, "Grok's page had to be loaded again.", is_refusal=True),
    "person_busy": Rule(Next.AGAIN, "The person is using the tab."),
    "tab_closed": Rule(Next.AGAIN, "The worker's tab was closed.", counts=True),
    "browser_closed": Rule(Next.AGAIN, "The worker's browser was closed.", counts=True),
    "download_failed": Rule(Next.RECOVER, "The result could not be fetched.", is_spent=True),
    "result_rejected": Rule(
        Next.RECOVER, "The result was not valid.", counts=True, is_spent=True, once=True
    ),
    "submit_unknown": Rule(Next.RECOVER, "Grok may have taken it.", counts=True, is_spent=True),
    "no_progress": Rule(Next.RECOVER, "Grok made no progress.", counts=True),
    "run_cap": Rule(Next.RECOVER, "Grok took longer than an attempt may.", counts=True),
    "incomplete": Rule(Next.FAIL, "The answer was cut off.", counts=True),
    "generation_failed": Rule(Next.FAIL, "Grok could not generate this.", counts=True),
    "moderated": Rule(Next.FAIL, "Grok refused this content.", counts=True),
    "option_refused": Rule(Next.FAIL, "Grok does not offer this option."),
    "option_not_set": Rule(Next.FAIL, "The option could not be set on Grok's page."),
    "bad_input": Rule(Next.FAIL, "Grok did not accept the input.", counts=True),
    "upload_rejected": Rule(Next.FAIL, "Grok did not accept the image.", counts=True),
    "unknown": Rule(Next.AGAIN, "The worker reported an error.", counts=True),
}

#: Class → words of a free-text error that mean it; the first class that is found decides.
_PHRASES = {
    "rate_limited": ("rate limit", "limit reached", "too many requests"),
    "moderated": ("moderat", "content policy"),
    "not_logged_in": ("sign in", "log in", "login"),
    "challenge_required": ("captcha", "human check"),
    "ui_changed": ("not found on page", "selector"),
    "download_failed": ("download",),
}


class Failure(NamedTuple):
    """What a worker says went wrong."""

    failure_class: str
    detail: str
    #: Unix seconds at which a rate limit ends, where the page tells.
    retry_at: float | None = None


#: The page's states, as a worker may name them → the failure class.
_SYNONYMS = {
    "needs_login": "not_logged_in",
    "needs_human": "challenge_required",
    "paywalled": "paywall",
    "selector_missing": "ui_changed",
    "stalled": "no_progress",
}


def classify(code: str | None, text: str) -> str:
    """The failure class of a report: its code if we know it, else what its words suggest, else `unknown`."""
    code = _SYNONYMS.get(code or "", code)
    if code in RULES:
        return code
    lowered = text.lower()
    meant = (name for name, phrases in _PHRASES.items() if any(p in lowered for p in phrases))
    return next(meant, "unknown")
