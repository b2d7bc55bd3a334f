// What stands around every page: name, navigation, language, theme, the state of the connection, and what is in the
// way.

import { add, h, show } from "./dom.js";
import { language, locale, sentence, speak, t } from "./language.js";
import { noticeRegions } from "./notices.js";
import { onState } from "./stream.js";
import { onTrouble, tryNow } from "./trouble.js";

const THEMES = ["system", "light", "dark"];

function theme() {
  return document.documentElement.dataset.theme ?? "system";
}

function setTheme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  try {
    if (name === "system") localStorage.removeItem("daogou-theme");
    else localStorage.setItem("daogou-theme", name);
  } catch {
    // For this visit only.
  }
}

/** The name as it stands at the top. */
export function brand() {
  return h(
    "a",
    { class: "brand", href: "/#/lists" },
    h("span", { class: "brand-name" }, "daogou"),
    h("span", { class: "brand-han", lang: "zh" }, "导购"),
  );
}

/** Language and theme. `changed` redraws the page in the other language. */
export function settings(changed) {
  const other = language() === "zh" ? "en" : "zh";
  const speakOther = h(
    "button",
    { type: "button", class: "button small-button", lang: other },
    other === "zh" ? "中文" : "English",
  );
  speakOther.addEventListener("click", () => {
    speak(other);
    changed();
  });
  const select = h("select", { class: "small-select", "aria-label": t("theme.label") });
  for (const name of THEMES) add(select, h("option", { value: name, selected: name === theme() }, t(`theme.${name}`)));
  select.addEventListener("change", () => setTheme(select.value));
  return h("div", { class: "settings" }, speakOther, select);
}

/** A line at the top of the page while something is in the way. */
export function troubleBar() {
  const bar = h("div", { class: "trouble", role: "status", "aria-live": "polite" });
  let timer = null;
  onTrouble((trouble) => {
    clearInterval(timer);
    if (!trouble) return bar.replaceChildren();
    const seconds = h("span", { "aria-hidden": "true" });
    const left = () => {
      const n = Math.ceil((trouble.until - Date.now()) / 1000);
      seconds.textContent = n > 0 ? ` ${t("trouble.in", { n })}` : "";
    };
    const now = h("button", { type: "button", class: "button small-button", on: { click: tryNow } }, t("trouble.now"));
    const words = [t(`trouble.${trouble.kind}`), trouble.detail ? ` ${sentence(trouble.detail)}` : ""];
    show(bar, h("p", {}, h("strong", {}, words[0]), words[1], seconds), now);
    left();
    timer = setInterval(left, 1000);
  });
  return bar;
}

/** The page around `main`: a way past the head, the rail with a list of links and what stands at its foot. */
export function surround(main, { label, list, foot }) {
  document.documentElement.lang = locale();
  show(
    document.body,
    h(
      "a",
      {
        class: "skip",
        href: "#main",
        on: {
          click: (event) => {
            event.preventDefault();
            main.focus();
          },
        },
      },
      t("nav.skip"),
    ),
    h(
      "header",
      { class: "rail" },
      h(
        "div",
        { class: "rail-in" },
        brand(),
        h("nav", { "aria-label": t(label) }, list),
        h("div", { class: "rail-foot" }, foot),
      ),
    ),
    h("div", { class: "desk" }, troubleBar(), main),
    noticeRegions(),
  );
}

/** The whole frame. `pages` are names of routes; gives the parts that change. */
export function frame(pages, changed) {
  const links = new Map();
  const list = h("ul", {});
  for (const name of pages) {
    const link = h("a", { href: `#/${name}` }, t(`nav.${name}`));
    links.set(name, link);
    add(list, h("li", {}, link));
  }
  add(list, h("li", { class: "apart" }, h("a", { href: "/docs" }, t("nav.docs"))));
  const serving = h("p", { class: "serving" });
  const connection = h("p", { class: "connection" });
  onState((state) => {
    connection.dataset.state = state;
    connection.textContent = t(`connection.${state}`);
  });
  const main = h("main", { id: "main", tabindex: "-1" });
  surround(main, { label: "nav.label", list, foot: [serving, connection, settings(changed)] });
  return { links, main, serving };
}
