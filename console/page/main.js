// Who is here, and where they begin.
import { API, Failure } from "./api.js";
import { $, $$, ask, element, explain, onSubmit, say, show } from "./dom.js";
import * as login from "./login.js";
import * as places from "./places.js";
import { Widget } from "./widget.js";

const base = new URL(document.body.dataset.api, location.href);
const widgetClients = document.body.dataset.widgetClients.split(" ").filter(Boolean);

// Session is somebody who has proven who they are, and the user they act for.
class Session {
  constructor(api, userID, { operations, bot = null, administrator = false, byLink = false, room = "" }) {
    Object.assign(this, { api, userID, operations, bot, administrator, byLink, room });
  }

  // can says whether the bridge does an operation, by its operationId.
  can(operation) {
    return this.operations.includes(operation);
  }

  call(method, path, options) {
    return this.api.call(method, path, options);
  }

  // user makes a request about the user. The last argument may be options.
  user(method, ...path) {
    const options = typeof path.at(-1) === "object" ? path.pop() : {};
    return this.api.call(method, ["user", this.userID, ...path], options);
  }

  socket(...path) {
    return this.api.socket(["user", this.userID, ...path]);
  }
}

let session = null;

// enter shows what there is to do for a session.
async function enter(entered) {
  const me = await entered.user("GET");
  places.close();
  if (!me.telegram) await login.begin(entered, () => enter(entered));
  session = entered;
  say("");
  showWho(me);
  if (me.telegram && session.byLink) show("done");
  else if (me.telegram) places.open(session);
}

function showWho({ mxid, telegram }) {
  const who = $("#who");
  const buttons = [];
  if (telegram && session.can("logout")) buttons.push(whoButton("Log out", logOut));
  if (session.administrator) buttons.push(whoButton("Another user", leave));
  who.replaceChildren(element("span", {}, telegram ? `${mxid} is ${accountName(telegram)} on Telegram` : mxid), ...buttons);
  who.hidden = false;
}

function whoButton(text, run) {
  const button = element("button", { type: "button", className: "second" }, text);
  button.addEventListener("click", run);
  return button;
}

function accountName({ first_name: first, last_name: last, username, phone }) {
  const name = [first, last].filter(Boolean).join(" ") || (phone && `+${phone}`) || "an account";
  return username ? `${name} (@${username})` : name;
}

function logOut() {
  ask({
    title: "Log out of Telegram?",
    text: "The bridge does not use this Telegram account for you any more. Portals stay.",
    button: "Log out",
  }, async () => {
    const { pending } = await session.user("POST", "logout");
    return async () => {
      await enter(session);
      say(pending
        ? "You are logged out of the bridge. Telegram can't be reached: the bridge tells it as soon as it can."
        : "You are logged out.");
    };
  });
}

// leave goes back to where an administrator names the user.
function leave() {
  session = null;
  places.close();
  say("");
  $("#who").hidden = true;
  show("enter-secret");
}

// byToken returns the session of somebody with the secret, or with a token of their own.
async function byToken(api, userID, rest = {}) {
  const { operations, bot_mxid: bot } = await api.call("GET", ["bridge"]);
  return new Session(api, userID, { operations, bot, ...rest });
}

async function byLink(token) {
  const opened = await new API(base, token).call("POST", ["login", "link"]);
  return new Session(new API(base, opened.token), opened.user_id, { operations: opened.operations, byLink: true });
}

async function byWidget(widget) {
  const given = new URLSearchParams(location.search);
  const userID = given.get("user_id") ?? "";
  if (!userID) throw new Failure("The widget's address lacks user_id. Please tell whoever has added the widget.");
  const renew = () => widget.credential();
  return byToken(new API(base, await renew(), renew), userID, { room: given.get("room_id") ?? "" });
}

// start shows the way in that there is.
function start() {
  const link = new URLSearchParams(location.hash.slice(1)).get("login_link");
  const widget = Widget.of(widgetClients);
  if (link) {
    // Neither the history nor a bookmark is to have it.
    history.replaceState(null, "", location.pathname + location.search);
    onSubmit($("#enter-link form"), async () => enter(await byLink(link)));
    show("enter-link");
    return;
  }
  onSubmit($("#enter-secret form"), async () => {
    const secret = $("#secret").value.trim();
    if (!/^[!-~]+$/.test(secret)) throw new Failure("That is no secret: it has a character that no secret has.");
    await enter(await byToken(new API(base, secret), $("#user-id").value.trim(), { administrator: true }));
  });
  if (widget) {
    onSubmit($("#enter-widget form"), async () => enter(await byWidget(widget)));
    show("enter-widget");
    return;
  }
  show("enter-secret");
}

// A link that is opened where the page is open already changes the fragment alone.
window.addEventListener("hashchange", () => location.hash && location.reload());
window.addEventListener("unhandledrejection", ({ reason }) => explain($("#status"), reason));
start();
