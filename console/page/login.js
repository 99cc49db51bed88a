// Logging in to Telegram.
import { Failure } from "./api.js";
import { $, $$, attempt, explain, focusTitle, onSubmit, show } from "./dom.js";

const deliveries = {
  app: "in Telegram's apps",
  sms: "by text message",
  call: "by a call that says it",
  missed_call: "by a call from a number that ends in it",
  email: "by e-mail",
  fragment: "on Fragment",
  unknown: "in another way",
};

const qrErrors = {
  timeout: "Nobody has scanned the code. Please show a new one.",
  replaced: "The QR code was shown somewhere else. Please go on there, or show a new one here.",
  phone_number_banned: "Telegram has banned the phone number of this account.",
  session_revoked: "Telegram has ended this login. Please show a new QR code.",
  flood_wait: "Telegram asks for a pause. Please try again later.",
  overloaded: "The bridge is busy. Please try again in a few seconds.",
};

const steps = ["login-start", "login-code", "login-password", "login-scan"];

let session; // whose login it is
let loggedIn; // what to do after it
let timer = 0; // of what is counted down
let socket = null; // of the QR code

// begin shows the step that a user's login is at. After the login it calls done.
export async function begin(current, done) {
  session = current;
  loggedIn = done;
  for (const input of $$("#login input:not([type=radio])")) input.value = "";
  $("#made-link").hidden = true;
  $("#give-link").hidden = !session.administrator || !session.can("create_login_link");
  const login = session.can("get_login") ? await session.user("GET", "login") : {};
  offerMethods();
  show("login");
  step("login-start");
  resume(login);
}

// offerMethods offers what the bridge can do.
function offerMethods() {
  const methods = $$("[name=method]");
  for (const method of methods) method.parentElement.hidden = !session.can(method.dataset.needs);
  const offered = methods.filter((method) => session.can(method.dataset.needs));
  if (!offered.some((method) => method.checked) && offered.length > 0) offered[0].checked = true;
  chooseMethod();
}

function chooseMethod() {
  const chosen = $("[name=method]:checked")?.value;
  for (const method of ["phone", "qr", "bot"]) $(`#login-${method}`).hidden = method !== chosen;
}

// step shows one step of the login.
function step(id) {
  clearInterval(timer);
  if (id !== "login-scan") closeSocket();
  for (const each of steps) $(`#${each}`).hidden = each !== id;
  for (const error of $$("#login .error")) explain(error);
}

// resume goes on where a login is.
function resume(login) {
  if (login.state === "code") codeSent(login);
  else if (login.state === "password") askPassword(login);
}

function codeSent({ message, code }) {
  step("login-code");
  const where = code?.destination ? ` (${code.destination})` : "";
  $("#code-message").textContent = message + where;
  $("#code").value = "";
  offerResend(code);
  $("#code").focus();
}

// offerResend offers the next way that a code can be sent, once its time has come.
function offerResend(code) {
  const button = $("#resend");
  button.hidden = !code?.next_delivery || !session.can("resend_login_code");
  const from = Date.now() + 1000 * (code?.resend_in ?? 0);
  const update = () => {
    const left = Math.ceil((from - Date.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = `Send it ${deliveries[code?.next_delivery] ?? deliveries.unknown}` + (left > 0 ? ` (in ${left} s)` : "");
    if (left <= 0) clearInterval(timer);
  };
  timer = setInterval(update, 1000);
  update();
}

function askPassword({ message, password_hint: hint }) {
  step("login-password");
  $("#password-message").textContent = message;
  $("#password-hint").textContent = hint ? `Hint: ${hint}` : "";
  $("#password").value = "";
  $("#password").focus();
}

// send makes a request of the login. After an error that begins the login again it shows the error there.
async function send(method, path, body) {
  try {
    return await session.user(method, ...path, { body });
  } catch (err) {
    if (err.errcode === "already_logged_in") return { state: "logged-in" };
    const begun = $("#login-start").hidden;
    if (begun && err.body?.state === "request") {
      step("login-start");
      focusTitle($("#login"));
      explain(shownError(), err);
      return null;
    }
    throw err;
  }
}

// shownError is where the chosen method shows its errors.
const shownError = () => $(`#login-${$("[name=method]:checked").value} .error`);

// next goes where an answer says.
async function next(answer) {
  if (answer?.state === "code") codeSent(answer);
  if (answer?.state === "password") askPassword(answer);
  if (answer?.state === "logged-in") await loggedIn();
}

function showQR() {
  closeSocket();
  socket = session.socket("login", "qr");
  const opened = socket;
  let result = null;
  opened.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if ("success" in message) result = message;
    else drawQR(message, opened);
  };
  opened.onclose = () => {
    if (socket !== opened) return; // given up, or a newer one
    socket = null;
    qrEnded(result);
  };
}

// drawQR has the bridge draw a code.
async function drawQR({ code, timeout }, opened) {
  const answer = await fetch("qr", { method: "POST", body: code, credentials: "omit", cache: "no-store" }).catch(() => null);
  if (socket !== opened) return;
  if (!answer?.ok) {
    qrEnded({ error: "undrawn" });
    return;
  }
  const image = $("#qr");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(await answer.blob());
  if ($("#login-scan").hidden) {
    step("login-scan");
    focusTitle($("#login"));
  }
  countDown(timeout);
}

function countDown(seconds) {
  const until = Date.now() + 1000 * seconds;
  const update = () => {
    $("#qr-left").textContent = `A new code comes in ${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s.`;
  };
  clearInterval(timer);
  timer = setInterval(update, 1000);
  update();
}

async function qrEnded(result) {
  if (result?.success) {
    await attempt($("#login-qr"), loggedIn);
    return;
  }
  if (result?.error === "password-needed") {
    await attempt($("#login-qr"), async () => resume(await session.user("GET", "login")));
    return;
  }
  step("login-start");
  focusTitle($("#login"));
  await attempt($("#login-qr"), async () => {
    if (!result && (await loggedInMeanwhile())) return;
    throw new Failure(qrErrors[result?.error] ?? "That did not work. Please try again, or log in in another way.");
  });
}

// loggedInMeanwhile is for a socket that was not opened, of which a browser does not show the reason: a
// request that is no WebSocket's gets it too, unless the user is logged in.
async function loggedInMeanwhile() {
  await session.user("GET", "login", "qr").catch((err) => {
    if (err.errcode !== "upgrade_required") throw err;
  });
  const { telegram } = await session.user("GET");
  if (telegram) await loggedIn();
  return telegram !== null;
}

function closeSocket() {
  const open = socket;
  socket = null;
  open?.close();
}

for (const method of $$("[name=method]")) method.addEventListener("change", chooseMethod);
onSubmit($("#login-phone"), async () => next(await send("POST", ["login", "request_code"], { phone: $("#phone").value })));
onSubmit($("#login-bot"), async () => next(await send("POST", ["login", "bot_token"], { token: $("#bot-token").value.trim() })));
onSubmit($("#login-code"), async () => next(await send("POST", ["login", "send_code"], { code: $("#code").value.trim() })));
onSubmit($("#login-password"), async () => next(await send("POST", ["login", "send_password"], { password: $("#password").value })));
onSubmit($("#login-qr"), async () => showQR());
$("#resend").addEventListener("click", () =>
  attempt($("#login-code"), async () => next(await send("POST", ["login", "resend_code"]))),
);
for (const button of $$("[data-cancel]")) {
  button.addEventListener("click", () =>
    attempt(button.closest("form"), async () => {
      if (session.can("cancel_login")) await session.user("DELETE", "login");
      step("login-start");
      focusTitle($("#login"));
    }),
  );
}
$("#qr-cancel").addEventListener("click", () => {
  step("login-start");
  focusTitle($("#login"));
});
onSubmit($("#give-link form"), async () => {
  const { url } = await session.user("POST", "login", "link");
  $("#link-url").value = url;
  $("#made-link").hidden = false;
  $("#link-url").select();
  $("#link-url").focus();
});
