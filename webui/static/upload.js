// New jobs: look at each file before it is sent, send it straight to the object store, submit its job. One job a file,
// each with its own progress and its own error: one that fails holds up no other.

import { getJson, post } from "./api.js";
import { size, wrongWith } from "./vcf_check.js";

const AT_ONCE = 3;
const SUBMIT_ATTEMPTS = 3;

const form = document.querySelector("#new-job");
const input = form.querySelector("input[type=file]");
const drop = form.querySelector(".drop");
const list = form.querySelector(".uploads");
const template = form.querySelector("template");
const button = form.querySelector("button[type=submit]");
const summary = form.querySelector(".upload-state");
const plan = {
  limit: Number(form.dataset.limitBytes), tooLarge: form.dataset.overLimit, replaced: form.dataset.replaced.split(" "),
};

/** The chosen files: `state` is checking, ready, refused, sending, done or failed. */
let uploads = [];
let busy = false;

class Upload {
  constructor(file) {
    this.file = file;
    this.item = template.content.firstElementChild.cloneNode(true);
    this.bar = this.item.querySelector("progress");
    this.item.querySelector(".name").textContent = file.name;
    this.item.querySelector(".size").textContent = size(file.size);
    this.bar.setAttribute("aria-label", `Upload of ${file.name}`);
    const remove = this.item.querySelector("button");
    remove.setAttribute("aria-label", `Leave out ${file.name}`);
    remove.addEventListener("click", () => leaveOut(this));
    this.become("checking", "Looking at the file");
  }

  get key() {
    return `${this.file.name}\n${this.file.size}\n${this.file.lastModified}`;
  }

  become(state, said) {
    this.state = state;
    this.item.dataset.state = state;
    const text = this.item.querySelector(".said");
    if (state === "refused" || state === "failed") text.setAttribute("role", "alert");
    else text.removeAttribute("role");
    text.textContent = said;
  }

  async check() {
    const wrong = await wrongWith(this.file, plan);
    if (wrong) this.become("refused", wrong);
    else this.become("ready", "Ready to be sent");
  }

  async send() {
    const { file } = this;
    const reference = new FormData(form).get("reference");
    this.become("sending", "Asking for a place to put it");
    try {
      const upload = await post("uploads", { file_name: file.name, size_bytes: file.size, reference });
      await this.put(upload);
      this.become("sending", "Uploaded. Starting the job.");
      await submit({ job_id: upload.job_id, file_name: file.name, reference });
      this.jobId = upload.job_id;
      this.become("done", "");
      const link = document.createElement("a");
      link.href = `/jobs/${upload.job_id}`;
      link.textContent = "See the job";
      this.item.querySelector(".said").append("Submitted. ", link);
    } catch (error) {
      this.bar.value = 0;
      this.become("failed", error.message);
    }
  }

  put({ url, fields }) {
    const data = new FormData();
    for (const [name, value] of Object.entries(fields)) data.append(name, value);
    data.append("file", this.file);
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.upload.addEventListener("progress", (event) => {
        if (!event.lengthComputable) return;
        this.bar.max = event.total;
        this.bar.value = event.loaded;
        this.become("sending", `${size(event.loaded)} of ${size(event.total)} uploaded`);
      });
      request.addEventListener("load", () => {
        if (request.status >= 200 && request.status < 300) return resolve();
        const tooLarge = request.responseText.includes("EntityTooLarge");
        reject(new Error(tooLarge ? plan.tooLarge.replace("{size}", size(this.file.size))
          : `The upload was refused (${request.status}). Try again.`));
      });
      request.addEventListener("error", () => reject(new Error("The upload broke off. Check the connection and try again.")));
      request.open("POST", url);
      request.send(data);
    });
  }
}

const inState = (...states) => uploads.filter((upload) => states.includes(upload.state));

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

function show() {
  const toSend = inState("ready", "failed").length;
  form.toggleAttribute("data-busy", busy);
  button.disabled = busy || toSend === 0 || inState("checking").length > 0;
  input.disabled = busy;
  list.hidden = uploads.length === 0;
  const done = inState("done").length;
  if (busy) summary.textContent = `${done} of ${uploads.length} submitted`;
  else if (done && toSend) summary.textContent = `${done} submitted, ${toSend} not: try again, or leave it out`;
  else if (uploads.length > 1) summary.textContent = `${toSend} of ${uploads.length} files will be sent`;
  else summary.textContent = "";
}

/** Adds files to the list; those that cannot be sent make way, and a file that is there already is looked at again. */
async function choose(files) {
  const chosen = [...files].map((file) => new Upload(file));
  const keys = new Set(chosen.map((upload) => upload.key));
  uploads = [...uploads.filter((upload) => upload.state !== "refused" && !keys.has(upload.key)), ...chosen];
  list.replaceChildren(...uploads.map((upload) => upload.item));
  show();
  await Promise.all(chosen.map((upload) => upload.check()));
  show();
}

function leaveOut(upload) {
  if (busy) return;
  uploads = uploads.filter((other) => other !== upload);
  upload.item.remove();
  show();
  input.focus();
}

async function run() {
  const waiting = inState("ready", "failed");
  const sender = async () => {
    for (let upload = waiting.shift(); upload; upload = waiting.shift()) {
      await upload.send();
      show();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, sender));
}

const references = form.elements.reference;
references.addEventListener("change", () => {
  form.querySelector(".about").textContent = references.selectedOptions[0].dataset.about;
});

input.addEventListener("change", () => {
  choose(input.files);
  input.value = ""; // so that the same file can be chosen again once it is mended
});

for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (!busy) choose(event.dataTransfer.files);
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (button.disabled) return;
  busy = true;
  show();
  await run();
  busy = false;
  show();
  if (uploads.every((upload) => upload.state === "done")) {
    location.assign(uploads.length === 1 ? `/jobs/${uploads[0].jobId}` : "/jobs/");
  }
});

window.addEventListener("beforeunload", (event) => {
  if (busy) event.preventDefault(); // what is on its way would be lost
});

window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return; // back from the jobs: these are submitted
  uploads = uploads.filter((upload) => upload.state !== "done");
  list.replaceChildren(...uploads.map((upload) => upload.item));
  show();
});
