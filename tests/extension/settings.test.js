/** Settings: whatever is stored is read as something whole, and a broker address is taken or refused in a sentence. */

import assert from "node:assert/strict";
import test from "node:test";

import {
  DEFAULTS,
  NAME_LENGTH,
  checkBrokerUrl,
  isLoopback,
  originPattern,
  readSettings,
} from "../../extension/shared/settings.js";

const NOT_SETTINGS = [
  undefined,
  null,
  0,
  7,
  true,
  "",
  "text",
  [],
  [1],
  {},
  { kinds: null },
  { kinds: "all" },
];

for (const stored of NOT_SETTINGS)
  test(`${JSON.stringify(stored)} is read as the defaults`, () => {
    assert.deepEqual(readSettings(stored), DEFAULTS);
  });

test("what was kept is read back as it was", () => {
  const kept = {
    brokerUrl: "https://broker.example:8443",
    name: "Desk",
    kinds: { video: false, image: true, chat: false },
  };

  assert.deepEqual(readSettings(kept), kept);
});

test("a field that cannot be used gives way to its default, and the others stay", () => {
  const stored = {
    brokerUrl: "ftp://127.0.0.1",
    name: 5,
    kinds: { video: false, image: "no", surprise: true },
    more: 1,
  };

  assert.deepEqual(readSettings(stored), {
    brokerUrl: DEFAULTS.brokerUrl,
    name: "",
    kinds: { video: false, image: true, chat: true },
  });
});

test("a kind that older settings do not know is switched on", () => {
  assert.deepEqual(readSettings({ kinds: { video: false, chat: true } }).kinds, {
    video: false,
    image: true,
    chat: true,
  });
});

test("settings that were read can be changed without changing the defaults", () => {
  const settings = readSettings(undefined);
  settings.kinds.video = false;

  assert.equal(DEFAULTS.kinds.video, true);
});

test("a name is kept without control characters and no longer than the broker takes", () => {
  assert.equal(readSettings({ name: "  my\ndesk\u0007 " }).name, "my desk");
  assert.equal([...readSettings({ name: "😀".repeat(500) }).name].length, NAME_LENGTH);
});

const TAKEN = {
  "http://127.0.0.1:8000": "http://127.0.0.1:8000",
  "  http://127.0.0.1:8000/  ": "http://127.0.0.1:8000",
  "127.0.0.1:8000": "http://127.0.0.1:8000",
  "localhost:8000": "http://localhost:8000",
  "broker.lan": "http://broker.lan",
  "[::1]:8000": "http://[::1]:8000",
  "HTTPS://Broker.Example": "https://broker.example",
  "http://192.168.1.20:8000": "http://192.168.1.20:8000",
  "http://127.1:8000": "http://127.0.0.1:8000",
};
for (const [typed, url] of Object.entries(TAKEN))
  test(`the address ${JSON.stringify(typed)} is taken as ${url}`, () => {
    assert.deepEqual(checkBrokerUrl(typed), { ok: true, url });
  });

/** @type {Record<string, RegExp>} */
const REFUSED = {
  "": /Type the broker's address/,
  "   ": /Type the broker's address/,
  "ftp://127.0.0.1": /http:\/\/ or https:\/\//,
  "file:///etc/passwd": /http:\/\/ or https:\/\//,
  "javascript:alert(1)": /http:\/\/ or https:\/\//,
  "chrome-extension://abc/": /http:\/\/ or https:\/\//,
  "http://127.0.0.1:8000/v1": /leave the path out/,
  "http://127.0.0.1:8000?x=1": /leave what follows out/,
  "http://127.0.0.1:8000#x": /leave what follows out/,
  "http://me:secret@127.0.0.1:8000": /no user name and no password/,
  "http://me@127.0.0.1": /no user name and no password/,
  "http://*:8000": /one host/,
  "http://*.example": /one host/,
  "http://0.0.0.0:8000": /called by another address/,
  "http://[::]:8000": /called by another address/,
  "http://": /not an address/,
  "http://127.0.0.1:99999": /not an address/,
  "two words": /not an address/,
};
for (const [typed, sentence] of Object.entries(REFUSED))
  test(`the address ${JSON.stringify(typed)} is refused in a sentence`, () => {
    const checked = checkBrokerUrl(typed);

    assert.equal(checked.ok, false);
    assert.match(checked.ok ? "" : checked.error, sentence);
  });

for (const url of [
  "http://localhost:8000",
  "http://a.localhost",
  "http://127.0.0.1:8000",
  "http://127.9.9.9",
  "http://[::1]:1",
])
  test(`${url} leads to this machine`, () => {
    assert.equal(isLoopback(url), true);
  });

for (const url of [
  "http://127.0.0.1.example",
  "http://localhost.example",
  "http://192.168.1.20",
  "http://[::2]",
  "nonsense",
])
  test(`${url} does not lead to this machine`, () => {
    assert.equal(isLoopback(url), false);
  });

test("Chrome is asked for the broker's host and port alone", () => {
  assert.equal(originPattern("http://192.168.1.20:8000"), "http://192.168.1.20:8000/*");
});
