// Writing: drafts that save themselves, addresses that complete themselves, files that are dropped. Nothing here is needed to write.
{
  const form = document.querySelector("#compose");
  const note = document.querySelector("#autosaved");
  if (form && note) {
    const button = (name) => form.querySelector(`.buttons [value="${name}"]`);
    let changed = false;
    let saving = false;
    let leaving = false;
    let timer = 0;

    // --- Drafts -------------------------------------------------------------------------------------------------------------
    const later = (wait) => {
      clearTimeout(timer);
      timer = setTimeout(save, wait);
    };
    const post = (more) => {
      const data = new FormData(form);
      data.delete("file");
      data.set("do", "save");
      return fetch("/compose", { method: "POST", body: data, headers: { accept: "application/json" }, ...more });
    };
    const save = async () => {
      if (!changed || saving || leaving) return;
      [saving, changed] = [true, false];
      let trouble = "The host cannot be reached";
      try {
        const answer = await post();
        const is = answer.headers.get("content-type") ?? "";
        const said = is.startsWith("application/json") ? await answer.json() : {};
        trouble = said.draft || said.sent ? "" : said.error ?? "Sign in in another window, then press a button here";
        if (said.draft) {
          form.elements.draft.value = said.draft;
          note.textContent = `Saved ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`;
        }
        if (said.sent) note.textContent = "This message was sent already.";
      } catch {}
      saving = false;
      if (trouble) {
        changed = true;
        note.textContent = `Not saved. ${trouble}`;
      }
      if (changed) later(15000);
    };
    form.addEventListener("input", () => {
      changed = true;
      later(3000);
    });
    form.addEventListener("submit", () => {
      leaving = true;
      // Behind the event, or the button that was pressed would not be told.
      setTimeout(() => form.querySelectorAll("button").forEach((one) => (one.disabled = true)));
    });
    addEventListener("pageshow", () => {
      leaving = false;
      form.querySelectorAll("button").forEach((one) => (one.disabled = false));
    });
    // Who goes elsewhere finds it among the drafts; only what a browser would not send behind a page that is gone is asked about.
    const fits = () => !form.elements.file.files.length && [...new FormData(form).values()].join("").length < 15000;
    addEventListener("beforeunload", (event) => {
      if (changed && !leaving && !fits()) event.preventDefault();
    });
    addEventListener("pagehide", () => {
      if (changed && !leaving) post({ keepalive: true }).catch(() => {});
      changed = false;
    });

    // --- Keys ---------------------------------------------------------------------------------------------------------------
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        form.requestSubmit(button("send"));
      } else if (event.target.matches("input[type=text]")) {
        event.preventDefault();
      }
    });

    // --- Files --------------------------------------------------------------------------------------------------------------
    const area = form.querySelector(".files");
    const input = form.elements.file;
    const add = (files) => {
      const all = new DataTransfer();
      [...input.files, ...files].forEach((file) => all.items.add(file));
      input.files = all.files;
      changed = true;
    };
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    form.addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      area.classList.add("over");
    });
    form.addEventListener("dragleave", () => area.classList.remove("over"));
    form.addEventListener("drop", (event) => {
      area.classList.remove("over");
      if (!hasFiles(event)) return;
      event.preventDefault();
      add(event.dataTransfer.files);
    });
    form.addEventListener("paste", (event) => {
      if (event.clipboardData.files.length) add(event.clipboardData.files);
    });

    // --- Addresses ----------------------------------------------------------------------------------------------------------
    for (const name of ["to", "cc", "bcc"]) {
      const line = form.elements[name];
      const list = document.createElement("ul");
      list.id = `${name}-offers`;
      list.className = "offers";
      list.hidden = true;
      list.setAttribute("role", "listbox");
      list.setAttribute("aria-label", "People you have written to");
      line.parentElement.append(list);
      line.removeAttribute("list");
      const marks = { role: "combobox", "aria-autocomplete": "list", "aria-controls": list.id, "aria-expanded": "false" };
      Object.entries(marks).forEach(([mark, value]) => line.setAttribute(mark, value));
      let at = -1;
      let asked = 0;

      // What is being typed: behind the last comma that is not within quotes.
      const begin = () => {
        let [start, quoted] = [0, false];
        [...line.value].reduce((place, c) => {
          if (c === '"') quoted = !quoted;
          if ((c === "," || c === ";") && !quoted) start = place + c.length;
          return place + c.length;
        }, 0);
        return start;
      };
      const mark = (index) => {
        const offers = [...list.children];
        at = offers.length ? (index + offers.length) % offers.length : -1;
        offers.forEach((offer, number) => offer.setAttribute("aria-selected", number === at));
        if (at < 0) line.removeAttribute("aria-activedescendant");
        else line.setAttribute("aria-activedescendant", offers[at].id);
      };
      const close = () => {
        asked += 1;
        list.hidden = true;
        list.replaceChildren();
        line.setAttribute("aria-expanded", "false");
        mark(-1);
      };
      const leave = () => {
        close();
        line.removeAttribute("autocomplete");
      };
      const take = (offer) => {
        const start = begin();
        line.value = `${line.value.slice(0, start)}${start ? " " : ""}${offer.dataset.text}, `;
        close();
        line.dispatchEvent(new Event("input", { bubbles: true }));
      };
      const offer = async () => {
        const typed = line.value.slice(begin()).trim();
        if (!typed) return close();
        const number = (asked += 1);
        const answer = await fetch(`/addresses?q=${encodeURIComponent(typed)}`).catch(() => null);
        const people = answer?.ok && !answer.redirected ? await answer.json() : [];
        if (number !== asked) return;
        list.replaceChildren(
          ...people.map((person, index) => {
            const item = document.createElement("li");
            item.id = `${list.id}-${index}`;
            item.setAttribute("role", "option");
            item.textContent = item.dataset.text = person.text;
            return item;
          }),
        );
        list.hidden = !people.length;
        line.setAttribute("aria-expanded", String(!list.hidden));
        mark(-1);
      };
      line.addEventListener("input", (event) => event.isTrusted && offer());
      // The browser's own offers would lie on ours. But it gives what was typed back to who comes back here only if it may make them.
      line.addEventListener("focus", () => line.setAttribute("autocomplete", "off"));
      line.addEventListener("blur", leave);
      addEventListener("pagehide", leave);
      // Before the focus goes, which would close the list.
      list.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        const item = event.target.closest("li");
        if (item) take(item);
      });
      line.addEventListener("keydown", (event) => {
        if (list.hidden) return;
        const chosen = list.children[at];
        const keys = {
          ArrowDown: () => mark(at + 1),
          ArrowUp: () => mark(at < 0 ? -1 : at - 1),
          Escape: close,
          Enter: () => chosen && take(chosen),
          Tab: () => chosen && take(chosen),
        };
        if (!keys[event.key] || (event.key === "Tab" && !chosen)) return;
        event.preventDefault();
        keys[event.key]();
      });
    }
  }
}
