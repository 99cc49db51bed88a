// Connecting a chat to a room, with a look before.
import { $, $$, element, explain, focusTitle, onSubmit } from "./dom.js";

const warnings = {
  room_encrypted: "The room is end-to-end encrypted, and the bridge can't decrypt: its messages will not get to Telegram.",
};

// What to do about a blocker, where its sentence does not say it.
const advice = {
  room_already_bridged: "End the portal of the room first, under Portals.",
  not_enough_permissions: "In the room, the power to send state events of the type fi.mau.telegram.bridge is needed. Somebody with more power can give it.",
  user_not_in_chat: "Join the chat in a Telegram app.",
  not_logged_in: "Log in to Telegram first.",
};

let session;
let chat;
let connected; // what to do afterwards
let looked = null; // what the last look was about, and whether it found no blocker

// openConnect asks for the room to connect a chat to.
export function openConnect(current, chosen, done) {
  session = current;
  chat = chosen;
  connected = done;
  const dialog = $("#connect");
  $("#connect-title").textContent = `Connect ${chat.title || "the chat"}`;
  $("#connect-room").value ||= session.room;
  $("[name=force][value='']").checked = true;
  forget();
  dialog.showModal();
  focusTitle(dialog);
}

// forget drops the last look, after which the room has changed.
function forget() {
  looked = null;
  explain($("#connect .error"));
  $("#connect-look").replaceChildren();
  $("#connect-force").hidden = true;
  label();
}

const asked = () => ({ room: $("#connect-room").value.trim(), force: $("[name=force]:checked").value });

const fine = () => looked?.fine && looked.room === asked().room && looked.force === asked().force;

function label() {
  $("#connect-go").textContent = fine() || !session.can("preflight_connect") ? "Connect" : "Look what would happen";
}

const path = (room) => ["portal", room, "connect", String(chat.id)];

async function look() {
  const { room, force } = asked();
  const found = await session.call("GET", path(room), { query: { user_id: session.userID, force } });
  looked = { room, force, fine: found.can_connect };
  const moves = found.blockers.some(({ errcode }) => errcode === "chat_already_bridged");
  $("#connect-force").hidden = !moves && !force;
  $("#connect-look").replaceChildren(...sentences(found));
  label();
}

// sentences says what a look has found.
function sentences({ can_connect: can, blockers, warnings: warned, acting, chat: seen, replaces }) {
  const said = [];
  if (can) {
    const who = acting === "relaybot" ? "The bridge's relay bot" : "The Telegram account";
    said.push(element("p", { className: "fine" }, "Nothing is in the way."));
    said.push(element("p", {}, `${who} connects ${seen?.title || "the chat"} to the room.`));
  } else {
    const items = blockers.map((blocker) => element("li", {}, blockerText(blocker)));
    said.push(element("div", { className: "blocked" }, element("p", {}, "This is in the way:"), element("ul", { ariaLabel: "In the way" }, ...items)));
  }
  if (replaces) said.push(element("p", {}, `The portal in ${replaces} ends.`));
  for (const warning of warned) said.push(element("p", {}, warnings[warning] ?? `Take care: ${warning}.`));
  return said;
}

function blockerText({ errcode, error, bot_mxid: bot }) {
  return [error, bot && `The bridge bot is ${bot}.`, advice[errcode]].filter(Boolean).join(" ");
}

async function connect() {
  const { room, force } = asked();
  await session.call("POST", path(room), { query: { user_id: session.userID, force } });
  $("#connect").close();
  $("#connect-room").value = "";
  connected(`${chat.title || "The chat"} is connected to the room ${room}.`);
}

onSubmit($("#connect form"), async () => {
  if (fine() || !session.can("preflight_connect")) await connect();
  else await look();
});
$("#connect-room").addEventListener("input", forget);
for (const choice of $$("[name=force]")) choice.addEventListener("change", label);
