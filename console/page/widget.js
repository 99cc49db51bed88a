// The page as a widget in a Matrix client: https://spec.matrix.org/unstable/widget-api
// (MSC1236), with the OpenID tokens of MSC1960.
import { Failure } from "./api.js";

const refused = "Your Matrix client did not tell the bridge who you are. Please allow it, and try again.";

// Widget talks to the client whose frame the page is in. It sends to and listens to that one origin.
export class Widget {
  #id;
  #origin;
  #waiting = new Map(); // by request ID
  #requests = 0;

  // of returns the Widget of this page, null where it is none, or where the bridge does not
  // let this client show it.
  static of(clients) {
    const given = new URLSearchParams(location.search);
    const id = given.get("widgetId") ?? given.get("widget_id");
    if (window.parent === window || !id) return null;
    const origin = originOf(given.get("parentUrl") ?? document.referrer);
    return clients.includes(origin) ? new Widget(id, origin) : null;
  }

  constructor(id, origin) {
    this.#id = id;
    this.#origin = origin;
    window.addEventListener("message", (event) => {
      if (event.source === window.parent && event.origin === origin) this.#receive(event.data);
    });
    this.#send("content_loaded", {}).catch(() => {}); // clients that wait for it need no more
  }

  #receive(message) {
    if (message?.widgetId !== this.#id) return;
    if (message.api === "fromWidget") {
      this.#waiting.get(message.requestId)?.(message.response);
      this.#waiting.delete(message.requestId);
    }
    if (message.api !== "toWidget") return;
    if (message.action === "openid_credentials") {
      this.#waiting.get(message.data?.original_request_id + " answered")?.(message.data);
      this.#waiting.delete(message.data?.original_request_id + " answered");
    }
    window.parent.postMessage({ ...message, response: answerTo(message.action) }, this.#origin);
  }

  #send(action, data, requestId = this.#newID()) {
    window.parent.postMessage({ api: "fromWidget", widgetId: this.#id, requestId, action, data }, this.#origin);
    return this.#answer(requestId);
  }

  #newID() {
    return `tgprovision-${++this.#requests}`;
  }

  #answer(key) {
    return new Promise((resolve) => this.#waiting.set(key, resolve));
  }

  // credential asks the client for an OpenID token. Errors: Failure.
  async credential() {
    const requestId = this.#newID();
    const answered = this.#answer(`${requestId} answered`); // by a person, after the state "request"
    let openID = await this.#send("get_openid", {}, requestId);
    if (openID?.state === "request") openID = await answered;
    if (openID?.state !== "allowed" || !openID.access_token) throw new Failure(refused);
    return `openid:${openID.access_token}`;
  }
}

// answerTo is the response to a request of the client.
function answerTo(action) {
  switch (action) {
    case "capabilities":
      return { capabilities: [] };
    case "supported_api_versions":
      return { supported_versions: ["0.0.1", "0.0.2"] };
    default:
      return {};
  }
}

function originOf(url) {
  try {
    return new URL(url).origin;
  } catch {
    return "";
  }
}
