// The genome view: igv.js with what the page says, and a word about how it goes.

/* global igv */

const panel = document.querySelector("#genome");
const said = document.querySelector(".genome-said");

try {
  panel.browser = await igv.createBrowser(panel, JSON.parse(panel.dataset.config));
  panel.dataset.state = "ready";
  said.textContent = "Drag to move, click a variant to see what the file says of it.";
} catch (error) {
  panel.dataset.state = "failed";
  panel.hidden = true;
  said.setAttribute("role", "alert");
  said.textContent = `The view cannot be drawn: ${error.message ?? error}. The table below says what is known here.`;
}
