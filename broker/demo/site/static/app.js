/** Starts the page. */
import { chatView } from "./chat.js";
import { config } from "./config.js";
import { sendForgedMessages } from "./forged.js";
import { showFrame, showPast } from "./frame.js";
import { imagineView, savedView } from "./imagine.js";
import { postView } from "./post.js";
import { route, start } from "./router.js";
import { post } from "./traffic.js";
import { standingTroubles } from "./troubles.js";

/** What is left to use, asked for as the real page does; the answers are for whoever looks. */
async function askQuota() {
  await fetch("/api/auth/session");
  if (!config.signed_in) return;
  await fetch("/rest/user-settings");
  await post("/rest/rate-limits", { requestKind: "DEFAULT", modelName: "auto" });
  await post("/rest/media/imagine/quota_info", {});
}

route(/^\/imagine\/post\/([^/]+)\/?$/, postView);
route(/^\/imagine\/(?:saved|favorites)\/?$/, savedView);
route(/^\/imagine\/?$/, imagineView);
route(/^\/(?:c\/([^/]+))?/, chatView);

sendForgedMessages();
showFrame();
start(() => void showPast());
standingTroubles();
askQuota().catch(() => {});
