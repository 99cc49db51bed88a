// What somebody who is logged in does: chats, contacts, portals, and new chats.
import { openConnect } from "./connect.js";
import { $, $$, ask, attempt, focusTitle, onSubmit, say, show } from "./dom.js";
import { action, List, row } from "./list.js";

const pageSize = 50;
const kinds = { user: "Person", chat: "Basic group", supergroup: "Supergroup", channel: "Channel" };

let session;
let contacts = []; // all of them, which come at once

const needs = { chats: "get_chats", contacts: "get_contacts", portals: "list_portals", create: "create_portal" };

// open shows what the user can do.
export function open(current) {
  session = current;
  for (const list of Object.values(lists)) list.clear();
  $("#all-portals").checked = false;
  $("#all-portals-choice").hidden = !session.administrator;
  $("#create-room").value = session.room;
  const bot = session.bot ? `The bridge bot, ${session.bot}, has to be in it.` : "";
  for (const hint of $$("[data-bot]")) hint.textContent = bot;
  const buttons = $$("#places button");
  for (const button of buttons) button.hidden = !session.can(needs[button.dataset.place]);
  const first = buttons.find((button) => !button.hidden);
  $("#places").hidden = !first;
  if (first) go(first.dataset.place);
  else show("done");
}

// close hides it all.
export function close() {
  $("#places").hidden = true;
  for (const list of Object.values(lists)) list.clear();
}

function go(place) {
  for (const button of $$("#places button")) button.ariaCurrent = button.dataset.place === place ? "page" : null;
  say("");
  show(place);
  lists[place]?.begin();
}

// stay reloads a list after something was done, and says what.
async function stay(place, sentence) {
  focusTitle($(`#${place}`));
  await lists[place].begin();
  say(sentence);
}

const lists = {
  chats: new List($("#chats"), loadChats, showChat),
  contacts: new List($("#contacts"), loadContacts, showContact),
  portals: new List($("#portals"), loadPortals, showPortal),
};

async function loadChats({ search, after, signal }) {
  const items = await session.user("GET", "chats", { query: { limit: pageSize, after, search }, signal });
  return { items, next: items.length === pageSize ? items.at(-1).id : undefined };
}

function showChat(chat) {
  const title = chat.title || "Without a title";
  const details = [kinds[chat.type], chat.username && `@${chat.username}`, chat.room_id && `bridged to ${chat.room_id}`];
  if (chat.room_id) return row(title, details);
  if (chat.type === "user") return row(title, details, ...startButton(chat.id, title));
  if (!session.can("connect_portal")) return row(title, details);
  return row(title, details, action("Connect", title, () => openConnect(session, chat, (done) => stay("chats", done))));
}

function startButton(identifier, title) {
  if (!session.can("start_dm")) return [];
  return [action("Start chat", title, (button) => {
    const section = button.closest("section");
    attempt(section, () => startChat(String(identifier)));
  })];
}

async function startChat(identifier) {
  const started = await session.user("POST", "pm", identifier);
  const who = started.contact_info.name || "this person";
  say(started.just_created
    ? `There is a room for the chat with ${who} now, and the user is invited: ${started.room_id}`
    : `There is a room for the chat with ${who} already: ${started.room_id}`);
}

// get_contacts knows no pages and no search.
async function loadContacts({ search, after = 0, signal }) {
  if (after === 0) contacts = Object.values(await session.user("GET", "contacts", { signal }));
  const wanted = search.toLowerCase();
  const found = contacts
    .filter((c) => [c.name, `@${c.username}`, c.phone].some((text) => text.toLowerCase().includes(wanted)))
    .sort((a, b) => a.name.localeCompare(b.name) || a.id - b.id);
  const end = after + pageSize;
  return { items: found.slice(after, end), next: end < found.length ? end : undefined };
}

function showContact(contact) {
  const title = contact.name || "Without a name";
  const details = [contact.is_bot && "Bot", contact.username && `@${contact.username}`, contact.phone];
  return row(title, details, ...startButton(contact.id, title));
}

// asking is the user whose portals are listed and ended, nobody for all portals.
const asking = () => ($("#all-portals").checked ? {} : { user_id: session.userID });

async function loadPortals({ after, signal }) {
  const page = await session.call("GET", ["portals"], { query: { limit: pageSize, after, ...asking() }, signal });
  return { items: page.portals, next: page.next ?? undefined };
}

function showPortal(portal) {
  const title = portal.title || "Without a title";
  const kind = portal.peer_type === "channel" && portal.megagroup ? "supergroup" : portal.peer_type;
  const details = [kinds[kind], portal.username && `@${portal.username}`, portal.mxid];
  if (!session.can("disconnect_portal")) return row(title, details);
  return row(title, details, action("Disconnect", title, () => disconnect(portal, title)));
}

function disconnect(portal, title) {
  ask({
    title: `Disconnect ${title}?`,
    text: `Messages are not bridged between ${portal.mxid} and Telegram any more. People from Telegram leave the room. The chat on Telegram stays as it is.`,
    option: "Remove everybody from the room",
    button: "Disconnect",
  }, async (everybody) => {
    const query = { ...asking(), delete: everybody || undefined };
    await session.call("POST", ["portal", portal.mxid, "disconnect"], { query });
    return () => stay("portals", `${title} is not bridged any more.`);
  });
}

onSubmit($("#create form"), async () => {
  const room = $("#create-room").value.trim();
  const { chat_id: chatID } = await session.call("POST", ["portal", room, "create"], {
    query: { user_id: session.userID },
    body: { type: $("#create-type").value, title: $("#create-name").value || null, about: $("#create-about").value || null },
  });
  for (const input of $$("#create input, #create textarea")) input.value = "";
  say(`The chat exists, and ${room} is bridged to it. Its ID is ${chatID}.`);
});
onSubmit($("#start-chat"), async () => {
  await startChat($("#identifier").value.trim());
  $("#identifier").value = "";
});
$("#all-portals").addEventListener("change", () => lists.portals.begin());
for (const button of $$("#places button")) button.addEventListener("click", () => go(button.dataset.place));
