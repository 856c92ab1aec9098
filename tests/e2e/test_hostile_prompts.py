"""A prompt is text and nothing else: it arrives as it was sent, letter for letter, is submitted once, and runs nothing.

The one difference that is allowed: a line ends with a line feed, however it was ended in the prompt.
"""

import json
from collections import Counter
from typing import Any

import pytest

from broker.demo.site.stand_in import Switches
from tests.e2e.conftest import OpenDesk
from tests.support.e2e_desk import Desk
from tests.support.e2e_waiting import wait_until
from tests.support.hostile import ScriptsWorld

#: What any of the prompts would do if it were run.
TRAP = "window.sprung=1"
HTML = [
    f"<script>{TRAP}</script>",
    f"<img src=x onerror={TRAP}>",
    f"<svg/onload={TRAP}>",
    f'"><script>{TRAP}</script>',
    f"</p></div><iframe srcdoc='<script>parent.{TRAP}</script>'></iframe>",
    f"<a href=javascript:{TRAP}>press</a>",
    f"<details open ontoggle={TRAP}>",
    f"<input autofocus onfocus={TRAP}>",
    "<p>one</p><p>two</p>",
    "a<br>b",
    "<b>bold</b> & <i>not</i>",
    "&lt;not a tag&gt; &amp; &nbsp; &#65;",
    "<!-- a comment -->",
    "<![CDATA[x]]>",
    "<template><slot></slot></template>",
    "<style>*{display:none}</style>",
]
TEMPLATES = [
    "{{constructor.constructor('" + TRAP + "')()}}",
    "${" + TRAP + "}",
    "#{" + TRAP + "}",
    "<%= 7 * 7 %>",
    "{% for x in y %}{{ x }}{% endfor %}",
    "[[${7*7}]]",
    "{{}}",
    "%s %d %n %%",
    "$& $1 $$ $`",
    "\\n \\t \\u0041 \\x41",
    f"javascript:{TRAP}",
    "'; DROP TABLE jobs; --",
    "`id` $(id)",
    "../../../etc/passwd",
    "__proto__",
    "null",
    "0",
]
MARKDOWN = [
    "# A heading",
    "## Two\n### Three",
    "- one\n- two",
    "* star\n* star",
    "+ plus",
    "1. first\n2. second",
    "1) first",
    "- [ ] to do\n- [x] done",
    "> quoted\n> again",
    "```\ncode\n```",
    "```python\nprint('<b>')\n```",
    "`code` and ``more``",
    "``",
    "**bold** __bold__ *it* _it_ ~~gone~~",
    "***",
    "---",
    "--- ",
    "___",
    "[a link](https://example.com) ![img](x)",
    "https://example.com www.example.com a@example.com",
    "| a | b |\n| - | - |\n| 1 | 2 |",
    "$x^2$ \\(y\\) \\[z\\]",
    "a -- b ... c (c) -> <- => 1/2 \"quoted\" 'single'",
    "- ",
    "# ",
    "> ",
    "1. ",
    ":smile: :thinking_face:",
    "==marked== ~sub~ ^sup^",
]
COMMANDS = [
    "/imagine",
    "/imagine a cat",
    "/",
    "@",
    "@someone hello",
    "#tag",
    "a --mode=custom",
    "--mode=normal",
    "--help",
]
SPACES = [
    " leading",
    "trailing ",
    "   both   ",
    "two  spaces   three",
    "a\tb",
    "\tindented",
    "    four spaces",
    "one\n\ntwo",
    "one\n\n\n\nfive",
    "\nfirst line is empty",
    "last line is empty\n",
    "\n\n both \n\n",
    "  one  \n  two  ",
    "a\r\nb\r\n\r\nc",
    "a\rb",
    "line\n" * 60 + "end",
]
SIGNS = [
    "👩‍👩‍👧‍👦 👨🏽‍💻 🏳️‍🌈 🇩🇪 ❤️‍🔥",
    "مرحبا بالعالم abc 123",
    "שלום עולם",
    "\u202eright to left\u202c and back",
    "\u2066isolated\u2069",
    "e\u0301 a\u030a\u0323 Z\u0351\u036b\u0343\u036a",
    "日本語 한국어 中文 ไทย हिन्दी",
    "a\u200bb\u200cc\u200dd\ufeffe",
    "\u200bat the start",
    "soft\u00adhyphen",
    "\u2028line separator\u2029",
    "𝒜𝓁𝓁 𐍈 𠜎 🂡",
    "ﬁ ﬂ ﷽ ꧅",
    "“curly” ‘quotes’ – — …",
]
LONG = [
    "word " * 2_199 + "end.",
    "x" * 11_000,
    "\n".join("y" * 2_000 for _ in range(5)),
    "日本" * 2_500,
    "<b>" * 2_000,
]
PROMPTS = [*HTML, *TEMPLATES, *MARKDOWN, *COMMANDS, *SPACES, *SIGNS, *LONG]
#: Some of every kind go the whole way, from a client to the site.
WHOLE_WAY = [
    HTML[0],
    TEMPLATES[0],
    "# A heading\n\n- one\n- two\n\n```js\nx = `y`\n```\n\n> said",
    COMMANDS[0],
    "  one\t \n\n\n  two  ",
    "a\r\nb",
    SIGNS[0],
    SIGNS[3],
    "a\u200bb\u200cc\u200dd\ufeffe",
    LONG[0],
]

#: Writes and submits one prompt after the other in the page as it is, with the extension's own means.
WRITE_ALL = """async ({ prompts, pack }) => {
  const from = (name) => import(chrome.runtime.getURL(`page/${name}.js`));
  const [{ write }, { press }, { Locator }, { Watch }] = await Promise.all(
    ["composer", "press", "locate", "watch"].map(from),
  );
  const locator = new Locator(pack, document);
  const watch = new Watch(document);
  const { signal } = new AbortController();
  const until = (look, what, seconds = 10) => {
    return watch.until(look, { seconds, signal, trouble: () => new Error(what) });
  };
  const enabled = () => locator.all("chat.submit").find((button) => !button.matches(":disabled"));
  const settled = (look) => until(look, "late", 2).catch(() => false);
  const ticks = setInterval(() => watch.news(), 50);
  for (const prompt of prompts) {
    const editor = await until(() => locator.one("chat.editor"), "no editor");
    try {
      await write(editor, prompt, settled);
    } catch (error) {
      return [prompt, String(error)];
    }
    press(await until(enabled, "no submit: " + prompt));
    await until(() => (editor.value ?? editor.textContent) === "", "not taken: " + prompt);
  }
  clearInterval(ticks);
  return null;
}"""


def submitted(desk: Desk, count: int) -> list[str]:
    """What the site has been sent, in order, as soon as it is so much."""
    wait_until(desk.site.submits, lambda submits: len(submits) >= count, 10)
    return [submit.prompt for submit in desk.site.submits()]


def arrived(prompt: str) -> str:
    return prompt.replace("\r\n", "\n").replace("\r", "\n")


def test_there_are_a_hundred_of_them() -> None:
    assert len(set(PROMPTS)) == len(PROMPTS) >= 100
    assert all(prompt.strip() for prompt in PROMPTS)
    assert max(map(len, PROMPTS)) >= 11_000


@pytest.mark.parametrize("generation", ["autumn", "february"])
def test_every_prompt_arrives_letter_for_letter_once_and_runs_nothing(
    generation: Any, open_desk: OpenDesk
) -> None:
    desk = open_desk(switches=quick(generation))
    page = desk.browser.new_page("https://grok.com/")
    pack = json.loads((desk.browser.extension / "sites" / "grok.json").read_text(encoding="utf-8"))

    refused = ScriptsWorld(page).evaluate(WRITE_ALL, {"prompts": PROMPTS, "pack": pack})

    assert refused is None
    assert submitted(desk, len(PROMPTS)) == [arrived(prompt) for prompt in PROMPTS]
    assert page.evaluate("window.sprung") is None
    assert not any("sprung" in line for line in desk.browser.console)


#: An editor that drops the ends of lines that are typed all at once.
DROP_LINE_ENDS = """() => {
  const exec = document.execCommand.bind(document);
  document.execCommand = (name, shown, text) => exec(name, shown, text?.replaceAll("\\n", " "));
}"""


def test_lines_that_are_typed_one_by_one_do_not_submit_before_the_last(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=quick("autumn"))
    page = desk.browser.new_page("https://grok.com/")
    pack = json.loads((desk.browser.extension / "sites" / "grok.json").read_text(encoding="utf-8"))
    prompts = ["one\ntwo\n\nfour", "- \n# \n**b**\n---", "\n\nlast", "one\n"]
    world = ScriptsWorld(page)
    world.evaluate(DROP_LINE_ENDS)

    assert world.evaluate(WRITE_ALL, {"prompts": prompts, "pack": pack}) is None
    assert submitted(desk, len(prompts)) == prompts


def test_a_page_that_makes_something_else_of_the_prompt_is_sent_nothing(
    open_desk: OpenDesk,
) -> None:
    desk = open_desk(switches=Switches(prompt_mangled=True))
    job, _ = desk.post_chat("one\ntwo")

    ended = desk.wait_for_job(
        job, lambda job: bool(job["attempts"]) and job["attempts"][0]["failure"] is not None
    )
    assert ended["attempts"][0]["failure"] == "ui_changed"
    assert desk.site.submits() == []


def test_some_of_every_kind_go_the_whole_way(open_desk: OpenDesk) -> None:
    desk = open_desk(switches=quick("autumn"))
    calls = [desk.post_chat(prompt)[1] for prompt in WHOLE_WAY]
    for call in calls:
        call.answer()

    assert {call.text for call in calls} == {"ok"}
    assert Counter(s.prompt for s in desk.site.submits()) == Counter(map(arrived, WHOLE_WAY))
    assert desk.browser.page_of_worker().evaluate("window.sprung") is None


def quick(generation: Any) -> Switches:
    return Switches(generation=generation, answer="ok", thinking="", step_seconds=0.001)
