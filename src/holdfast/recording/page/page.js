// The search, the buttons, and small comforts. The page can be read without it.
(() => {
  "use strict";
  const HITS_MAX = 5000;
  const SLICE_MS = 12; // how long the search may keep the page from answering
  const PAUSE_MS = 180; // after a key, before the search begins

  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const main = $("conversation");
  const query = $("query");
  const count = $("count");
  const events = main.getElementsByClassName("event");
  $("bar").hidden = false;
  // The bar takes as many lines as it needs; what a link points to must come to rest below it.
  const clear = () => {
    root.style.scrollPaddingTop = `${$("bar").offsetHeight + 16}px`;
  };
  new ResizeObserver(clear).observe($("bar"));
  clear();

  // Dark or light. A page opened as a file may not be allowed to remember.
  const remember = (act) => { try { return act(localStorage); } catch { return null; } };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = remember((store) => store.getItem("holdfast-theme"));
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  $("theme").addEventListener("click", () => {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    remember((store) => store.setItem("holdfast-theme", root.dataset.theme));
  });

  // Folding.
  const folds = () => main.querySelectorAll("details");
  $("unfold").addEventListener("click", () => {
    const open = $("unfold").dataset.open !== "yes";
    for (const fold of folds()) fold.open = open;
    $("unfold").dataset.open = open ? "yes" : "no";
    $("unfold").textContent = open ? "Fold all" : "Unfold all";
    $("unfold").title = open ? "Fold tools and thinking" : "Unfold tools and thinking";
    $("unfold").setAttribute("aria-label", $("unfold").title);
  });
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...folds()].filter((fold) => !fold.open);
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => { for (const fold of opened) fold.open = false; });

  const follow = () => {
    const target = /^#e\d+$/.test(location.hash) && $(location.hash.slice(1));
    const fold = target && target.querySelector("details");
    if (fold) fold.open = true;
  };
  addEventListener("hashchange", follow);
  follow();

  // Turns: folded away where they would stand before the conversation; the one in sight is marked.
  const turns = $("turns");
  if (turns) {
    const narrow = matchMedia("(max-width: 63.99rem)");
    const fit = () => { turns.open = !narrow.matches; };
    narrow.addEventListener("change", fit);
    fit();
    const links = new Map();
    for (const link of turns.querySelectorAll("a")) {
      const event = $(link.hash.slice(1));
      if (event) links.set(event.closest(".turn"), link);
    }
    let marked = null;
    const watch = new IntersectionObserver((seen) => {
      for (const entry of seen) {
        const link = entry.isIntersecting && links.get(entry.target);
        if (!link || link === marked) continue;
        if (marked) marked.removeAttribute("aria-current");
        link.setAttribute("aria-current", "true");
        marked = link;
        if (!narrow.matches) {
          const list = link.closest("ol");
          const place = link.offsetTop - list.offsetTop;
          if (place < list.scrollTop || place > list.scrollTop + list.clientHeight - 40) {
            list.scrollTop = place - list.clientHeight / 2;
          }
        }
      }
    }, { rootMargin: "-15% 0px -80% 0px" });
    for (const turn of links.keys()) watch.observe(turn);
  }

  // Search. Hits are places in text nodes; they are drawn by the browser, the page is not changed.
  const canDraw = "highlights" in CSS && typeof Highlight === "function";
  let hits = [];
  let current = -1;
  let run = 0; // a new search makes the one before stop

  const pattern = (words) => {
    const escaped = words.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&").replace(/\s+/g, "\\s+");
    return new RegExp(escaped, "giu");
  };

  const textNodes = (event) => {
    const nodes = [];
    const walker = document.createTreeWalker(event, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT, (node) => {
      if (node.nodeType === Node.TEXT_NODE) return NodeFilter.FILTER_ACCEPT;
      return node.hasAttribute("data-quiet") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_SKIP;
    });
    while (walker.nextNode()) nodes.push(walker.currentNode);
    return nodes;
  };

  const hitsIn = (event, wanted, room) => {
    const nodes = textNodes(event);
    const starts = [];
    let text = "";
    for (const node of nodes) {
      starts.push(text.length);
      text += node.data;
    }
    const at = (offset, end) => { // the node that holds this place
      let low = 0;
      let high = nodes.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (starts[middle] < offset || (!end && starts[middle] === offset)) low = middle;
        else high = middle - 1;
      }
      return [nodes[low], offset - starts[low]];
    };
    const found = [];
    for (const match of text.matchAll(wanted)) {
      if (found.length === room) break;
      const [startContainer, startOffset] = at(match.index, false);
      const [endContainer, endOffset] = at(match.index + match[0].length, true);
      found.push({ event, range: new StaticRange({ startContainer, startOffset, endContainer, endOffset }) });
    }
    return found;
  };

  const tell = (done) => {
    const many = hits.length >= HITS_MAX ? "+" : "";
    const total = hits.length.toLocaleString("en") + many;
    if (!query.value.trim()) count.value = "";
    else if (hits.length) count.value = `${(current + 1).toLocaleString("en")} of ${total}${done ? "" : "…"}`;
    else count.value = done ? "no hits" : "…";
    $("next").disabled = $("previous").disabled = !hits.length;
  };

  const draw = () => {
    if (!canDraw) return;
    CSS.highlights.set("hit", new Highlight(...hits.map((hit) => hit.range)));
    if (current >= 0) {
      const now = new Highlight(hits[current].range);
      now.priority = 1;
      CSS.highlights.set("current", now);
    } else CSS.highlights.delete("current");
  };

  const nextFrame = () => new Promise(requestAnimationFrame);

  // Parts that come into sight are laid out and push others away, so it may take several looks.
  const LOOKS_MAX = 6;
  const show = async () => {
    const { event, range } = hits[current];
    const mine = current;
    for (let node = range.startContainer.parentElement; node && node !== main; node = node.parentElement) {
      if (node.tagName === "DETAILS") node.open = true;
    }
    event.scrollIntoView({ block: "nearest" });
    const live = document.createRange();
    live.setStart(range.startContainer, range.startOffset);
    live.setEnd(range.endContainer, range.endOffset);
    for (let look = 0; look < LOOKS_MAX; look += 1) {
      await nextFrame();
      await nextFrame();
      if (mine !== current) return;
      for (let box = range.startContainer.parentElement; box && box !== event; box = box.parentElement) {
        const hit = live.getBoundingClientRect();
        const frame = box.getBoundingClientRect();
        if (box.scrollHeight > box.clientHeight + 1 && (hit.top < frame.top || hit.bottom > frame.bottom)) {
          box.scrollTop += hit.top - frame.top - box.clientHeight / 2;
        }
        if (box.scrollWidth > box.clientWidth + 1 && (hit.left < frame.left || hit.right > frame.right)) {
          box.scrollLeft += hit.left - frame.left - box.clientWidth / 3;
        }
      }
      const hit = live.getBoundingClientRect();
      if (hit.top >= 80 && hit.bottom <= innerHeight - 40) break;
      scrollBy(0, hit.top - innerHeight * 0.4);
    }
    if (!canDraw) {
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(live);
    }
  };

  const go = (step) => {
    if (!hits.length) return;
    current = (current + step + hits.length) % hits.length;
    draw();
    show();
    tell(true);
  };

  const search = async () => {
    const mine = ++run;
    const words = query.value.trim();
    hits = [];
    current = -1;
    draw();
    tell(!words);
    if (!words) return;
    const wanted = pattern(words);
    let until = performance.now() + SLICE_MS;
    for (let place = 0; place < events.length && hits.length < HITS_MAX; place += 1) {
      for (const hit of hitsIn(events[place], wanted, HITS_MAX - hits.length)) hits.push(hit);
      if (hits.length && current < 0) {
        current = 0;
        draw();
        show();
      }
      if (performance.now() > until) {
        tell(false);
        await new Promise((resume) => setTimeout(resume));
        if (mine !== run) return;
        until = performance.now() + SLICE_MS;
      }
    }
    draw();
    tell(true);
  };

  let timer = 0;
  query.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE_MS);
  });
  query.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      if (hits.length) go(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      event.preventDefault();
      query.value = "";
      search();
      query.blur();
    }
  });
  addEventListener("keydown", (event) => {
    const typing = event.target.closest && event.target.closest("input, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      query.focus({ preventScroll: true });
      query.select();
    }
  });
  $("next").addEventListener("click", () => go(1));
  $("previous").addEventListener("click", () => go(-1));
  tell(true);
})();
