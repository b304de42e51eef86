// How a status is shown, on the list and on the page of one job.

const WORDS = {
  PENDING: "Waiting",
  RUNNING: "Annotating",
  COMPLETED: "Done",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
};
const PLACES = { ARCHIVED: "in the archive", THAWING: "on its way back" };
const NUMBER = new Intl.NumberFormat();

/** Puts `status` into a chip; whether it was another one before. */
export function show(chip, status) {
  if (chip.dataset.status === status) return false;
  chip.dataset.status = status;
  chip.textContent = WORDS[status] ?? status;
  return true;
}

export function progressText(progress) {
  if (!progress) return "";
  if (!progress.total) return progress.stage;
  return `${NUMBER.format(progress.done)} of ${NUMBER.format(progress.total)} variants`;
}

/** What the list says beside a job's status. */
export function besides({ status, progress, storage }) {
  return status === "RUNNING" ? progressText(progress) : PLACES[storage?.state] ?? "";
}

/** Says it to screen readers without moving the focus. */
export function announce(sentence) {
  document.querySelector("#announce").textContent = sentence;
}
