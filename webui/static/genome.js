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

try {
  const config = JSON.parse(panel.dataset.config);
  const narrow = window.matchMedia("(max-width: 48rem)").matches;
  panel.browser = await igv.createBrowser(panel, narrow ? { ...config, ...NARROW } : config);
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
