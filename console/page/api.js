// The provisioning API, as its OpenAPI document describes it.

// Failure is an answer that is an error, or no answer. Its message is a sentence for people.
export class Failure extends Error {
  constructor(message, { status = 0, errcode = "", body = {} } = {}) {
    super(message);
    this.status = status;
    this.errcode = errcode;
    this.body = body;
  }
}

const unreachable = "The bridge can't be reached. Please check your connection and try again.";

// failureOf makes a Failure of the answer to a request.
function failureOf(status, body) {
  const wait = body?.retry_after;
  const message = body?.error ?? `The bridge, or a proxy before it, answered with the status ${status}. Please try again later.`;
  return new Failure(wait > 0 ? `${message} Wait ${duration(wait)}.` : message, { status, errcode: body?.errcode, body: body ?? {} });
}

// duration says how long to wait.
function duration(seconds) {
  if (seconds < 100) return `${seconds} seconds`;
  if (seconds < 6000) return `${Math.ceil(seconds / 60)} minutes`;
  return `${Math.ceil(seconds / 3600)} hours`;
}

// API calls as somebody. The credential is in the memory of this page only.
export class API {
  // renew, where there is one, gets another credential after one is refused.
  constructor(base, credential = "", renew = null) {
    this.base = base.href.replace(/\/$/, "");
    this.credential = credential;
    this.renew = renew;
  }

  // call returns the body of the answer. The path is a list of segments. Errors: Failure.
  async call(method, path, { query = {}, body, signal } = {}) {
    try {
      return await this.#callOnce(method, path, { query, body, signal });
    } catch (err) {
      if (err.errcode !== "shared_secret_invalid" || !this.renew) throw err;
      this.credential = await this.renew();
      return await this.#callOnce(method, path, { query, body, signal });
    }
  }

  async #callOnce(method, path, { query, body, signal }) {
    let answer;
    try {
      answer = await fetch(this.#url(path, query), {
        method,
        headers: { Authorization: `Bearer ${this.credential}`, ...(body && { "Content-Type": "application/json" }) },
        body: body && JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
        signal,
      });
    } catch (err) {
      if (err.name === "AbortError") throw err;
      throw new Failure(unreachable);
    }
    const parsed = await answer.json().catch(() => null);
    if (!answer.ok || parsed === null) throw failureOf(answer.status, parsed);
    return parsed;
  }

  #url(path, query) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
    const search = new URLSearchParams(given).toString();
    return [this.base, ...path.map(encodeURIComponent)].join("/") + (search && `?${search}`);
  }

  // socket opens the WebSocket of login_qr. A browser can send no Authorization header with it, nor
  // the colon of an OpenID token as a subprotocol.
  socket(path) {
    const credential = this.credential.startsWith("openid:")
      ? this.credential.replace("openid:", "net.maunium.telegram.openid-")
      : `net.maunium.telegram.auth-${this.credential}`;
    try {
      return new WebSocket(this.#url(path, {}).replace(/^http/, "ws"), ["net.maunium.telegram.login", credential]);
    } catch {
      throw new Failure("A browser can't send this secret for a QR code. Please log in in another way.");
    }
  }
}
