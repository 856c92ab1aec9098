"""A second extension, for tests alone: puts a tab in front of each of the site's, as a person does who reads on.

So the site's page is hidden from its start. It also tells the site how its page is seen, because nobody looks into
that browser: by asking for a page of that name, which the site notes.
"""

import json
from pathlib import Path

from broker.demo.site.stand_in import StandIn

MANIFEST = {
    "manifest_version": 3,
    "name": "Curtain",
    "version": "1",
    "host_permissions": ["https://grok.com/*"],
    "background": {"service_worker": "curtain.js"},
    "content_scripts": [
        {"matches": ["https://grok.com/*"], "js": ["look.js"], "run_at": "document_start"}
    ],
}
CURTAIN = """
chrome.tabs.onCreated.addListener(({ active, pendingUrl, url, windowId }) => {
  const address = pendingUrl || url || "";
  if (active && address.startsWith("https://grok.com/")) chrome.tabs.create({ windowId, active: true });
});
"""
LOOK = """
const tell = () => void fetch(`/c/seen-${document.visibilityState}`);
document.addEventListener("visibilitychange", tell);
tell();
"""


def make_curtain(folder: Path) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    (folder / "curtain.js").write_text(CURTAIN, encoding="utf-8")
    (folder / "look.js").write_text(LOOK, encoding="utf-8")
    return folder


def sights(site: StandIn) -> list[str]:
    """`hidden` and `visible`, as the site's pages were at each start and change; `submit` for a submit between."""
    found = []
    for name, details in site.events:
        if name == "submit":
            found.append("submit")
        elif name == "page" and details["path"].startswith("/c/seen-"):
            found.append(details["path"].removeprefix("/c/seen-"))
    return found
