// Questions that wait for an answer: a native `<dialog>`, which holds the focus and closes with Escape.

import { add, h, unique } from "./dom.js";
import { t } from "./language.js";

/**
 * Opens a dialog. `submit(event)` may return a promise and throw: its error is shown and the dialog stays. Resolves
 * with what `submit` gave, or `null` where the person turned back.
 */
export function openDialog({ title, body, action, danger = false, submit, say }) {
  const heading = unique("dialog");
  const problem = h("p", { class: "problem", role: "alert" });
  const go = h("button", { type: "submit", class: danger ? "button danger" : "button primary" }, action);
  const back = h("button", { type: "button", class: "button" }, t("dialog.cancel"));
  const form = h("form", { class: "dialog-form", novalidate: true }, h("h2", { id: heading }, title));
  add(form, body, problem, h("div", { class: "dialog-actions" }, back, go));
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": heading }, form);
  document.body.append(dialog);
  const before = document.activeElement;
  return new Promise((resolve) => {
    let answer = null;
    back.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before?.isConnected) before.focus();
      resolve(answer);
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      go.disabled = true;
      problem.textContent = "";
      try {
        answer = (await submit?.(form)) ?? true;
        dialog.close();
      } catch (error) {
        problem.textContent = say ? say(error) : error.message;
        form.querySelector("input")?.focus();
      } finally {
        go.disabled = false;
      }
    });
    dialog.showModal();
  });
}
