// New job: look at the file before it is sent, send it straight to the object store, submit the job.

import { getJson, post } from "./api.js";

const NAME = /\.(vcf(\.b?gz)?|bcf)$/i;
const LOOK_BYTES = 64 * 1024;
const SUBMIT_ATTEMPTS = 3;
const UNITS = ["bytes", "KiB", "MiB", "GiB"];

const form = document.querySelector("#new-job");
const input = form.querySelector("input[type=file]");
const drop = form.querySelector(".drop");
const chosen = form.querySelector(".chosen");
const problem = form.querySelector("[role=alert]");
const button = form.querySelector("button[type=submit]");
const progress = form.querySelector("progress");
const state = form.querySelector(".upload-state");
const limit = Number(form.dataset.limitBytes);

let file = null;

function size(bytes) {
  let amount = bytes;
  let unit = 0;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${unit ? Number(amount.toPrecision(3)) : amount} ${UNITS[unit]}`;
}

function complain(sentence) {
  problem.textContent = sentence;
  problem.hidden = !sentence;
}

/** The file's first characters; unpacked where it is gzip or bgzip. */
async function beginning(blob) {
  const head = blob.slice(0, LOOK_BYTES);
  const magic = new Uint8Array(await head.slice(0, 2).arrayBuffer());
  if (magic[0] !== 0x1f || magic[1] !== 0x8b) return head.text();
  const reader = head.stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  const { value } = await reader.read();
  reader.cancel().catch(() => {}); // the rest of the slice ends in the middle of a block
  return new TextDecoder().decode(value);
}

/** What is wrong with a file, as far as the browser can see; "" for nothing. The server looks properly. */
async function wrongWith(candidate) {
  if (!NAME.test(candidate.name)) {
    return `${candidate.name} does not end in .vcf, .vcf.gz or .bcf. Choose a VCF or BCF file.`;
  }
  if (candidate.size === 0) return `${candidate.name} is empty.`;
  if (candidate.size > limit) return form.dataset.overLimit.replace("{size}", size(candidate.size));
  try {
    const text = await beginning(candidate);
    if (!text.startsWith("##fileformat=VCF") && !text.startsWith("BCF")) {
      return `${candidate.name} does not look like a VCF: its first line should begin with ##fileformat=VCF.`;
    }
  } catch {
    return `${candidate.name} ends in .gz, but cannot be unpacked. Was it copied completely?`;
  }
  return "";
}

async function choose(candidate) {
  file = null;
  button.disabled = true;
  if (!candidate) return;
  chosen.textContent = `${candidate.name} (${size(candidate.size)})`;
  const wrong = await wrongWith(candidate);
  complain(wrong);
  if (wrong) return;
  file = candidate;
  button.disabled = false;
}

function send({ url, fields }, body) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  data.append("file", body);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      progress.max = event.total;
      progress.value = event.loaded;
      state.textContent = `${size(event.loaded)} of ${size(event.total)} uploaded`;
    });
    request.addEventListener("load", () => {
      if (request.status >= 200 && request.status < 300) return resolve();
      const tooLarge = request.responseText.includes("EntityTooLarge");
      reject(new Error(tooLarge ? form.dataset.overLimit.replace("{size}", size(body.size))
        : `The upload was refused (${request.status}). Try again.`));
    });
    request.addEventListener("error", () => reject(new Error("The upload broke off. Check the connection and try again.")));
    request.open("POST", url);
    request.send(data);
  });
}

/** Whether the job is in the record, although the answer to its submission was an error. */
async function recorded(jobId) {
  try {
    await getJson(`jobs/${jobId}`);
    return true;
  } catch {
    return false;
  }
}

async function submit(job) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await post("jobs", job);
      return;
    } catch (error) {
      if (error.status < 500 && error.status !== 0) throw error;
      if (await recorded(job.job_id)) return; // its page says how it goes on
      if (attempt === SUBMIT_ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * attempt));
    }
  }
}

async function run() {
  const reference = new FormData(form).get("reference");
  const upload = await post("uploads", { file_name: file.name, size_bytes: file.size, reference });
  await send(upload, file);
  state.textContent = "Uploaded. Starting the job.";
  await submit({ job_id: upload.job_id, file_name: file.name, reference });
  location.assign(`/jobs/${upload.job_id}`);
}

function busy(yes) {
  form.toggleAttribute("data-busy", yes);
  button.disabled = yes || !file;
  input.disabled = yes;
}

const references = form.elements.reference;
references.addEventListener("change", () => {
  form.querySelector(".about").textContent = references.selectedOptions[0].dataset.about;
});

input.addEventListener("change", () => choose(input.files[0]));

for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length > 1) return complain("One file at a time, please.");
  if (event.dataTransfer.files.length) choose(event.dataTransfer.files[0]);
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!file) return;
  complain("");
  busy(true);
  try {
    await run();
  } catch (error) {
    complain(error.message);
    state.textContent = "";
    progress.value = 0;
    busy(false);
  }
});

window.addEventListener("pageshow", () => busy(false)); // back from the job's page
