// Lists that follow what happens, and keys. All of it can be done with links and buttons, too.
{
  const $ = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- What is chosen -------------------------------------------------------------------------------------------------------
  const boxes = () => all(".messages input[type=checkbox]");
  const showAll = () => {
    const box = $("#all");
    if (!box) return;
    box.closest("label").hidden = false;
    const chosen = boxes().filter((one) => one.checked).length;
    box.checked = chosen > 0 && chosen === boxes().length;
    box.indeterminate = chosen > 0 && !box.checked;
  };
  document.addEventListener("change", (event) => {
    if (event.target.id === "all") boxes().forEach((box) => (box.checked = event.target.checked));
    if (event.target.type === "checkbox") showAll();
  });
  showAll();

  // --- What happens meanwhile -----------------------------------------------------------------------------------------------
  const live = $("#live");
  let source = null;
  let asking = false;
  let again = false;

  // Takes the new list from the page itself, which the host has made: the same as loading it anew, but what is chosen, what has the
  // focus and how far it was scrolled stays.
  const refresh = async () => {
    if (asking) return void (again = true);
    asking = true;
    try {
      const address = new URL(location.href);
      address.searchParams.delete("done");
      const answer = await fetch(address, { headers: { accept: "text/html" } });
      if (!answer.ok || answer.redirected) return source?.close();
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = $("#live", page);
      if (!fresh) return;
      const known = new Set(all("[data-uid]", live).map((row) => row.dataset.uid));
      const chosen = new Set(boxes().filter((box) => box.checked).map((box) => box.value));
      const row = document.activeElement?.closest("[data-uid]");
      const part = row && (document.activeElement.className || document.activeElement.tagName);
      const at = $(".messages .at")?.dataset.uid;
      const target = $("#to")?.value;
      live.replaceChildren(...fresh.childNodes);
      live.dataset.events = fresh.dataset.events;
      boxes().forEach((box) => (box.checked = chosen.has(box.value)));
      showAll();
      if (at) $(`[data-uid="${at}"]`)?.classList.add("at");
      if (target && $("#to")) $("#to").value = target;
      if (row) {
        const now = $(`[data-uid="${row.dataset.uid}"]`);
        all("a, button, input", now ?? live).find((one) => (one.className || one.tagName) === part)?.focus({ preventScroll: true });
      }
      document.title = page.title;
      const folders = $("#folders ul", page);
      if (folders) $("#folders ul")?.replaceWith(folders);
      const count = all("li.unread", live).filter((row) => !known.has(row.dataset.uid)).length;
      if (count && $("#news")) $("#news").textContent = count === 1 ? "1 new message" : `${count} new messages`;
    } catch {
      // The host may be away for a moment; the stream of events comes back by itself, and asks then.
    } finally {
      asking = false;
      if (again) refresh((again = false));
    }
  };

  // A browser has few connections to a host, so a page that nobody sees listens to nothing.
  const listen = () => {
    source?.close();
    source = null;
    if (!live?.dataset.events || document.hidden) return;
    // The address says what the page knows, so whatever is missed before it listens, or while the host is away, is told.
    source = new EventSource(live.dataset.events);
    source.addEventListener("changed", refresh);
  };
  document.addEventListener("visibilitychange", () => {
    listen();
    if (live && !document.hidden) refresh();
  });
  window.addEventListener("pagehide", () => source?.close());
  // A page that comes back from the browser's memory is old.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && live) refresh();
    listen();
  });

  // --- Keys -----------------------------------------------------------------------------------------------------------------
  const rows = () => all(".messages > li");
  const current = () => $(".messages > .at") ?? document.activeElement?.closest(".messages > li");
  const go = (step) => {
    const list = rows();
    const to = list[Math.min(Math.max(list.indexOf(current()) + step, 0), list.length - 1)];
    if (!to) return;
    list.forEach((row) => row.classList.toggle("at", row === to));
    $("a", to).focus();
  };
  // With what is chosen, or else with the row where the reader is.
  const press = (key) => {
    const button = $(`[data-key="${CSS.escape(key)}"]`);
    if (!button) return false;
    const row = current();
    if (row && button.closest("form.list") && !boxes().some((box) => box.checked)) $("input", row).checked = true;
    button.click();
    return true;
  };
  const keys = {
    j: () => go(1),
    k: () => go(-1),
    o: () => $("a", current() ?? document.createElement("i"))?.click(),
    x: () => $("input", current() ?? document.createElement("i"))?.click(),
    s: () => ($(".star", current() ?? document) ?? $("[data-key=s]"))?.click(),
    "/": () => $("#q")?.focus(),
    "?": () => $("#keys")?.showModal?.(),
    c: () => location.assign("/compose"),
    // From a message to the list that it is in.
    u: () => /^\/mail\/\d+\/\d+/.test(location.pathname) && location.assign(location.pathname.replace(/\/\d+\/?$/, "")),
  };
  let before = "";
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat && !"jk".includes(event.key)) return;
    const field = event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable], dialog[open]");
    if (field) return;
    const goes = before === "g" && event.key === "i";
    before = event.key;
    if (goes) location.assign("/mail");
    // A page may have a button or a link of its own for a key.
    else if (keys[event.key] && !$(`[data-key="${CSS.escape(event.key)}"]`)) keys[event.key]();
    else if (!press(event.key)) return;
    event.preventDefault();
  });
}
