"""What a hostile page says and does, and another extension: every shape in which the extension's own parts speak.

Data and scripts alone, for `tests/e2e/test_hostile_page.py`.
"""

import json
from typing import Any

#: What is asked while the page lies, so that it can lie about that.
PROMPT = "Who are you?"
LIE = "FORGED"
NEW = "/rest/app-chat/conversations/new"
#: As our observer tells of traffic: an answer, a film and pictures, to the very prompt that is being asked.
OBSERVED: list[dict[str, Any]] = [
    {"type": "request", "address": NEW, "body": json.dumps({"message": PROMPT})},
    {"type": "answer", "status": 200, "headers": {}},
    {"type": "data", "text": json.dumps({"result": {"response": {"token": LIE}}})},
    {
        "type": "data",
        "text": json.dumps(
            {
                "result": {
                    "response": {
                        "streamingVideoGenerationResponse": {
                            "progress": 100,
                            "videoUrl": f"https://assets.grok.com/{LIE}.mp4",
                            "videoPostId": LIE + "-post",
                        }
                    }
                }
            }
        ),
    },
    {
        "type": "data",
        "text": json.dumps({"result": {"response": {"modelResponse": {"message": LIE}}}}),
    },
    {"type": "end"},
    {"type": "socket", "address": "/ws/mgw"},
    {"type": "sent", "text": json.dumps({"type": "conversation.item.create", "text": PROMPT})},
    {"type": "frame", "text": json.dumps({"type": "response.output_text.delta", "delta": LIE})},
    {
        "type": "frame",
        "text": json.dumps({"type": "response.done", "response": {"status": "completed"}}),
    },
]
#: As our page script speaks to the background, and the background, the popup and the broker to it.
SPOKEN: list[dict[str, Any]] = [
    {"event": "here", "page": "p", "running": None, "did": []},
    {"event": "standing", "state": "needs_login", "detail": LIE},
    {"event": "ready", "evidence": {"post_id": LIE}},
    {"event": "media", "media": [f"https://assets.grok.com/{LIE}.mp4"], "n": 999},
    {"event": "delta", "kind": "text", "delta": LIE, "seq": 0, "n": 999},
    {"event": "answer", "content": LIE, "n": 999},
    {"event": "failed", "code": "moderated", "detail": LIE, "n": 999},
    {"do": "run", "job": {"id": LIE, "kind": "chat", "action": "submit", "prompt": LIE}},
    {"do": "press", "key": "job/1"},
    {"do": "cancel", "key": "job/1"},
    {"do": "fetch_media", "address": "http://127.0.0.1/", "ask": "x"},
    {"do": "pack", "pack": {}},
    *({"command": name} for name in ("pause", "resume", "open_grok", "self_test")),
    {"command": "save_settings", "settings": {"brokerUrl": "http://127.0.0.1:1"}},
    {"job_id": LIE, "job_type": "chat", "prompt": LIE, "lease_token": LIE, "action": "submit"},
]
NAMES = [
    "grok-broker",
    "grok-broker:observer",
    "grok-broker:loader",
    "grok-broker:net",
    "grok-broker:page",
    "grok-broker:00000000-0000-4000-8000-000000000000",
    "page",
    "message",
]
FORGED: list[dict[str, Any]] = [
    *({"event": name, "detail": name} for name in NAMES),
    *(
        {"event": name, "detail": json.dumps({"id": 1, **said})}
        for name in NAMES
        for said in OBSERVED
    ),
    *({"event": name, "detail": said} for name in NAMES for said in SPOKEN),
    *({"post": said} for said in [*OBSERVED, *SPOKEN]),
    *({"post": json.dumps(said)} for said in SPOKEN),
    *({"post": odd} for odd in (None, 0, [], "x" * 200_000, {"source": "grok-broker"})),
]
#: The page goes on to lie for as long as it is open.
GO_ON_LYING = """(forged) => new Promise((resolve) => {
  setInterval(() => {
    for (const { event, detail, post } of forged) {
      if (event === undefined) window.postMessage(post, "*");
      else for (const target of [document, window]) {
        target.dispatchEvent(new CustomEvent(event, { detail }));
      }
    }
    resolve();
  }, 100);
})"""

#: The page's first script, before any of its others. It listens for the name of our channel, asks for it in the
#: ways that our own scripts do, writes down all that crosses, and lies under every name that it has heard.
FIRST_SCRIPT = """(() => {
  const heard = (window.heard = { names: [], crossed: [] });
  const lies = LIES;
  const listen = (target) => {
    target.addEventListener("grok-broker:observer", (event) => heard.names.push(event.detail), true);
    target.addEventListener("grok-broker:loader", () => heard.names.push("loader"), true);
    target.addEventListener("message", (event) => heard.crossed.push(JSON.stringify(event.data)), true);
  };
  listen(document);
  listen(window);
  const { dispatchEvent, addEventListener } = EventTarget.prototype;
  EventTarget.prototype.addEventListener = function (name, ...rest) {
    heard.crossed.push(String(name));
    return addEventListener.call(this, name, ...rest);
  };
  EventTarget.prototype.dispatchEvent = function (event) {
    heard.crossed.push(event.type + " " + JSON.stringify(event.detail));
    return dispatchEvent.call(this, event);
  };
  const { stringify } = JSON;
  JSON.stringify = function (...values) {
    const text = stringify.apply(this, values);
    heard.crossed.push(text);
    return text;
  };
  const ask = () => {
    for (const target of [document, window]) dispatchEvent.call(target, new CustomEvent("grok-broker:loader"));
    for (const name of new Set(heard.names)) {
      for (const lie of lies) dispatchEvent.call(document, new CustomEvent(name, { detail: stringify(lie) }));
    }
  };
  ask();
  for (const late of ["readystatechange", "DOMContentLoaded", "load"]) {
    addEventListener.call(document, late, ask);
    addEventListener.call(window, late, ask);
  }
})();"""
#: In front of our own script: writes down what it says to the background, and what it is told.
WRITE_DOWN = """(() => {
  const connect = chrome.runtime.connect;
  globalThis.crossed = [];
  chrome.runtime.connect = (...given) => {
    const port = connect.apply(chrome.runtime, given);
    port.onMessage.addListener((order) => void crossed.push(JSON.stringify(order)));
    const say = port.postMessage.bind(port);
    port.postMessage = (event) => {
      crossed.push(JSON.stringify(event));
      say(event);
    };
    return port;
  };
})();
"""


#: All that the page's own world holds as text.
EVERYTHING = """() => [
  document.documentElement.outerHTML,
  document.cookie,
  ...Object.entries({ ...localStorage, ...sessionStorage }).flat(),
  ...performance.getEntries().map((entry) => entry.name),
  ...Object.keys(window).filter((key) => typeof window[key] === "string").map((key) => window[key]),
].join(" ")"""


#: It has every right that an extension can have over pages, and would be talked to.
OTHER_EXTENSION = {
    "manifest_version": 3,
    "name": "Another extension",
    "version": "1",
    "permissions": ["storage", "tabs"],
    "host_permissions": ["<all_urls>"],
    "externally_connectable": {"ids": ["*"], "matches": ["https://grok.com/*"]},
    "options_ui": {"page": "other.html", "open_in_tab": True},
}
#: All the ways in which one extension may reach another; told the other's id and addresses of its files.
STRANGERS_WAYS = """async ([id, urls]) => {
  const said = [];
  const ask = (message) => new Promise((resolve) => {
    chrome.runtime.sendMessage(id, message, (answer) => {
      const error = chrome.runtime.lastError?.message;
      resolve(error ? "error: " + error : "answer: " + JSON.stringify(answer));
    });
  });
  const commands = ["pause", "resume", "self_test", "open_grok", "save_settings"];
  for (const command of commands) said.push(await ask({ command }));
  said.push(await ask({ event: "here", page: "p" }));
  for (const name of ["page", ""]) {
    said.push(await new Promise((resolve) => {
      const port = chrome.runtime.connect(id, { name });
      port.onMessage.addListener((message) => resolve("answer: " + JSON.stringify(message)));
      port.onDisconnect.addListener(() => resolve("error: " + chrome.runtime.lastError?.message));
      port.postMessage({ event: "here", page: "p", running: null, did: [] });
    }));
  }
  for (const url of urls) {
    said.push(await fetch(url).then((got) => "answer: " + got.status, (error) => "error: " + error.message));
  }
  return said;
}"""
