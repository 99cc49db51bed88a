// Logs in to demo accounts of examples/local, by phone and as a bot, and out again.
// The types of all requests and answers are those of the OpenAPI document.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js"; // npm run build makes it

const { API, SECRET } = process.env;
if (!API || !SECRET) {
  throw new Error("Set API and SECRET to what examples/local prints");
}
const api = createClient<paths>({ baseUrl: API, headers: { Authorization: `Bearer ${SECRET}` } });

/** Returns what an operation has answered. Throws an error of the API. */
function must<Data>(answer: { data?: Data; error?: { errcode?: string; error: string } }): Data {
  if (answer.error) {
    throw new Error(`${answer.error.errcode}: ${answer.error.error}`);
  }
  return answer.data as Data;
}

type LoginState = components["schemas"]["LoginState"];

/** Logs in by phone. Of the codes, each is tried until one is right. */
async function byPhone(user_id: string, phone: string, codes: string[], password: string) {
  const params = { path: { user_id } };
  let state: LoginState = must(await api.POST("/v1/user/{user_id}/login/request_code", { params, body: { phone } })).state;
  for (const code of codes) {
    const { data, error } = await api.POST("/v1/user/{user_id}/login/send_code", { params, body: { code } });
    if (data) {
      state = data.state;
      break;
    }
    // The compiler knows the errcodes of each operation: another one would not compile here.
    if (error.errcode !== "phone_code_invalid") {
      throw new Error(error.error);
    }
    console.log(`${error.errcode}: ${error.error}`);
  }
  if (state === "password") {
    must(await api.POST("/v1/user/{user_id}/login/send_password", { params, body: { password } }));
  }
}

/** Logs in as a bot. */
async function asBot(user_id: string, token: string) {
  must(await api.POST("/v1/user/{user_id}/login/bot_token", { params: { path: { user_id } }, body: { token } }));
}

/** Shows whose account a user is logged in with, and its chats, and logs out. */
async function show(user_id: string) {
  const params = { path: { user_id } };
  const { telegram } = must(await api.GET("/v1/user/{user_id}", { params }));
  if (!telegram) {
    throw new Error(`${user_id} is not logged in`);
  }
  console.log(`${user_id} is ${telegram.first_name}, @${telegram.username}`);
  for (const chat of must(await api.GET("/v1/user/{user_id}/chats", { params }))) {
    console.log(`  ${chat.title} (${chat.type})`);
  }
  must(await api.POST("/v1/user/{user_id}/logout", { params }));
  const again = await api.POST("/v1/user/{user_id}/logout", { params });
  console.log(`${user_id} is logged out: ${again.error?.errcode}`);
}

await byPhone("@you:localhost", "+9996610002", ["11111", "02468"], "correct horse");
await show("@you:localhost");
await asBot("@you:localhost", "9003:AAF-demo-token-of-the-local-bot");
await show("@you:localhost");
