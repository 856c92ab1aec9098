// Watches what the page itself sends and receives on a few paths, and hands copies to the extension. Runs in the
// page's own world, so it holds no secret and can do nothing: it never sends or changes a request.
//
// What it tells is as trustworthy as the page. `traffic.js` reads it as data.

(() => {
  /** Paths whose answers tell how a job stands. Everything else passes unseen. */
  const PATHS = [
    "/rest/app-chat/conversations",
    "/rest/app-chat/upload-file",
    "/http/upload-file-v2/direct",
    "/rest/media/post/",
    "/rest/media/imagine/quota_info",
    "/rest/rate-limits",
  ];
  const SOCKETS = ["/ws/mgw", "/ws/imagine/listen"];
  /** Longest request or piece of an answer that is passed on, in characters. */
  const MOST = 24_000_000;

  const send = document.dispatchEvent.bind(document);
  const stringify = JSON.stringify;
  const Custom = CustomEvent;
  const name = `grok-broker:${crypto.randomUUID()}`;
  let count = 0;

  /** @param {Record<string, unknown>} event */
  const tell = (event) => {
    try {
      const text = stringify(event);
      if (text.length <= MOST) send(new Custom(name, { detail: text }));
    } catch {
      // The page must not notice us, whatever happens here.
    }
  };

  /** @param {string} address @param {string[]} paths */
  const isWatched = (address, paths) => {
    try {
      const path = new URL(address, location.href).pathname;
      return paths.some((start) => path.startsWith(start));
    } catch {
      return false;
    }
  };

  /** True when it was heard; then nobody need be answered later, when it may be the page that asks. */
  const hello = () => !send(new Custom("grok-broker:observer", { detail: name, cancelable: true }));
  if (!hello()) document.addEventListener("grok-broker:loader", hello, { once: true });
  addEventListener("DOMContentLoaded", () => document.removeEventListener("grok-broker:loader", hello), { once: true });

  /** @param {Response} response @param {number} id */
  const follow = async (response, id) => {
    const headers = { "retry-after": response.headers.get("retry-after") };
    tell({ id, type: "answer", status: response.status, headers });
    if (!response.body) return tell({ id, type: "end" });
    try {
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        tell({ id, type: "data", text: value });
      }
      tell({ id, type: "end" });
    } catch {
      tell({ id, type: "broken" });
    }
  };

  /** @param {RequestInfo | URL} input @param {RequestInit} [init] */
  const bodyOf = async (input, init) => {
    if (typeof init?.body === "string") return init.body;
    if (init?.body || !(input instanceof Request) || !input.body) return "";
    return input.clone().text();
  };

  const pageFetch = window.fetch;
  window.fetch = new Proxy(pageFetch, {
    async apply(target, self, args) {
      const [input, init] = /** @type {[RequestInfo | URL, RequestInit?]} */ (args);
      const address = input instanceof Request ? input.url : String(input);
      if (!isWatched(address, PATHS)) return Reflect.apply(target, self, args);
      const id = ++count;
      const body = await bodyOf(input, init).catch(() => "");
      tell({ id, type: "request", address: new URL(address, location.href).pathname, body });
      let response;
      try {
        response = await Reflect.apply(target, self, args);
      } catch (error) {
        tell({ id, type: "broken" });
        throw error;
      }
      // A copy through clone, so that the page gets its own response object, untouched.
      const copy = response.clone();
      void follow(copy, id);
      return response;
    },
  });

  /** @param {unknown} data */
  const textOf = async (data) => {
    if (typeof data === "string") return data;
    if (data instanceof ArrayBuffer) return new TextDecoder().decode(data);
    if (data instanceof Blob) return data.text();
    return "";
  };

  window.WebSocket = new Proxy(window.WebSocket, {
    construct(target, args, self) {
      const socket = Reflect.construct(target, args, self);
      if (!isWatched(String(args[0]), SOCKETS)) return socket;
      const id = ++count;
      tell({ id, type: "socket", address: new URL(String(args[0]), location.href).pathname });
      socket.addEventListener("message", async (/** @type {MessageEvent} */ event) => {
        tell({ id, type: "frame", text: await textOf(event.data) });
      });
      socket.addEventListener("close", () => tell({ id, type: "closed" }));
      const pageSend = socket.send;
      socket.send = new Proxy(pageSend, {
        apply(inner, socketSelf, sent) {
          if (typeof sent[0] === "string") tell({ id, type: "sent", text: sent[0] });
          return Reflect.apply(inner, socketSelf, sent);
        },
      });
      return socket;
    },
  });
})();
