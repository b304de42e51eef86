// The genome view: igv.js with what the page says, and a word about how it goes.

/* global igv */

const panel = document.querySelector("#genome");
const said = document.querySelector(".genome-said");

// What igv's toolbar offers beside the place and the zoom is wider than a phone.
const NARROW = {
  showCenterGuideButton: false,
  showCursorTrackingGuideButton: false,
  showMultiSelectButton: false,
  showROITableButton: false,
  showSampleNameButton: false,
  showSVGButton: false,
  showTrackLabelButton: false,
};

/** What igv.js would say in its window of what was clicked, as text: by itself it takes what a file says for HTML. */
function asText(track, clicked) {
  if (!clicked?.length) return undefined;
  const lines = clicked.map((line) => {
    const plain = typeof line === "object" ? line.html ?? "" : String(line);
    if (/^(<hr[^<>]*>)+$/.test(plain)) return document.createElement("hr");
    const element = document.createElement("div");
    if (line.name) {
      const name = document.createElement("span");
      name.textContent = line.name;
      // Of the first "<" of an allele, and of nothing else, igv.js takes care.
      const value = line.name === "Alt" ? String(line.value).replace("&lt;", "<") : String(line.value);
      element.title = value;
      element.append(name, `\u00a0\u00a0\u00a0${value}`);
    } else {
      element.textContent = plain;
    }
    return element;
  });
  const all = document.createElement("div");
  all.append(...lines);
  return all.innerHTML;
}

try {
  const config = JSON.parse(panel.dataset.config);
  const narrow = window.matchMedia("(max-width: 48rem)").matches;
  panel.browser = await igv.createBrowser(panel, narrow ? { ...config, ...NARROW } : config);
  panel.browser.on("trackclick", asText);
  if (narrow) {
    // The page says which reference it is; the toolbar has no room to say it again.
    for (const part of panel.shadowRoot.querySelectorAll(".igv-current-genome, .igv-windowsize-panel-container")) {
      part.remove();
    }
  }
  panel.dataset.state = "ready";
  said.textContent = "Drag to move, click a variant to see what the file says of it.";
} catch (error) {
  panel.dataset.state = "failed";
  panel.hidden = true;
  said.setAttribute("role", "alert");
  said.textContent = `The view cannot be drawn: ${error.message ?? error}. The table below says what is known here.`;
}
