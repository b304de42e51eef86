// The page of one job: it moves by itself until the job has ended, then shows the result in place, and later whether
// the result goes to the archive and comes back.

import { getJson, getText, post, refresh, repeat } from "./api.js";
import { localTimes } from "./site.js";
import { announce, progressText } from "./status.js";

const EVERY_MS = 1000;
const STORED_EVERY_MS = 5000;
const FORECAST_EVERY_MS = 5000;

const job = () => document.querySelector("#job");

async function step() {
  const now = await getJson(`jobs/${job().dataset.jobId}`);
  if (now.complete_time || now.status !== job().dataset.status) {
    localTimes(await refresh("#job"));
    prepare();
    announce(`${now.file_name}: ${job().querySelector(".chip").textContent}`);
    if (!now.complete_time) return true;
    watchStorage();
    return false;
  }
  showProgress(now);
  return true;
}

async function forecastStep() {
  if ("ended" in job().dataset) return false;
  const { sentence } = await getJson(`jobs/${job().dataset.jobId}/forecast`);
  const text = job().querySelector(".forecast");
  if (text) text.textContent = sentence;
  return text !== null;
}

function watchStorage() {
  if (job().dataset.storage) repeat(storageStep, STORED_EVERY_MS);
}

async function storageStep() {
  const { storage } = await getJson(`jobs/${job().dataset.jobId}`);
  if (job().dataset.storage !== `${storage.state} ${storage.retrieval_tier ?? ""}`) {
    const before = job().dataset.storage;
    localTimes(await refresh("#job"));
    prepare();
    if (before.startsWith("THAWING") && storage.state === "HOT") announce("The result is available again");
  }
  return true;
}

function showProgress({ progress }) {
  const bar = job().querySelector("progress");
  if (!bar || !progress) return;
  if (progress.total) {
    bar.max = progress.total;
    bar.value = progress.done;
  } else {
    bar.removeAttribute("value");
  }
  job().querySelector(".stage").textContent = progress.stage;
  job().querySelector(".so-far").textContent = progress.total ? progressText(progress) : "";
}

function prepare() {
  const log = job().querySelector("details[data-log]");
  log?.addEventListener("toggle", () => loadLog(log), { once: true });
  const again = job().querySelector("[data-submit-again]");
  again?.addEventListener("click", () => submitAgain(again));
}

async function loadLog(log) {
  const text = log.querySelector("pre");
  try {
    text.textContent = await getText(`jobs/${job().dataset.jobId}/log`);
  } catch (error) {
    text.textContent = error.message;
  }
}

async function submitAgain(button) {
  const { jobId, fileName, reference } = job().dataset;
  button.disabled = true;
  try {
    await post("jobs", { job_id: jobId, file_name: fileName, reference });
  } catch (error) {
    announce(error.message);
    job().querySelector(".stage").textContent = error.message;
    button.disabled = false;
  }
}

prepare();
if ("ended" in job().dataset) {
  watchStorage();
} else {
  repeat(step, EVERY_MS);
  forecastStep().catch(() => {});
  repeat(forecastStep, FORECAST_EVERY_MS);
}
