// What all parts of the page use to show something.
import { Failure } from "./api.js";

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// element makes an element with properties and children. Text is never read as HTML.
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// say puts a sentence where screen readers tell it at once.
export function say(sentence) {
  $("#status").textContent = sentence;
}

// show has only one of the sections be there, and moves the focus to its title.
export function show(id) {
  for (const section of $$("main > section")) section.hidden = section.id !== id;
  focusTitle($(`#${id}`));
}

export function focusTitle(within) {
  $("h2", within).focus();
}

// explain shows an error where it belongs, "" none.
export function explain(where, err = "") {
  if (err && !(err instanceof Failure)) console.error(err);
  where.textContent = err instanceof Failure ? err.message : err && "Something went wrong in this page. Please load it again.";
  if (err) where.scrollIntoView({ block: "nearest" });
}

// attempt runs something that a person has asked for: once at a time, with its error shown.
export async function attempt(within, run) {
  if (within.ariaBusy === "true") return;
  within.ariaBusy = "true";
  say("");
  explain($(".error", within));
  try {
    await run();
  } catch (err) {
    explain($(".error", within), err);
  } finally {
    within.ariaBusy = "false";
  }
}

// onSubmit has a form do something in place of being sent.
export function onSubmit(form, run) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(form, run);
  });
}

// ask has a person confirm something, and does it. run returns what is to be done once the dialog is closed.
export function ask({ title, text, button, option = "" }, run) {
  const dialog = $("#confirm");
  $("h2", dialog).textContent = title;
  $("#confirm-text").textContent = text;
  $("#confirm-option").hidden = !option;
  $("#confirm-option span").textContent = option;
  $("#confirm-check").checked = false;
  $("button.danger", dialog).textContent = button;
  const form = $("form", dialog);
  explain($(".error", dialog));
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(form, async () => {
      const after = await run($("#confirm-check").checked);
      dialog.close();
      await after();
    });
  };
  dialog.showModal();
  focusTitle(dialog);
}

for (const dialog of $$("dialog")) $("[data-close]", dialog).addEventListener("click", () => dialog.close());
