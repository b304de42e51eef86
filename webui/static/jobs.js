// My jobs: statuses move by themselves, and jobs submitted elsewhere appear.

import { getJson, refresh, repeat } from "./api.js";
import { localTimes } from "./site.js";
import { announce, besides, show } from "./status.js";

const EVERY_MS = 2000;

const list = () => document.querySelector("#jobs");

async function step() {
  const { limit, cursor } = list().dataset;
  const query = new URLSearchParams({ limit, ...(cursor && { cursor }) });
  const { jobs } = await getJson(`jobs?${query}`);
  const rows = new Map([...list().querySelectorAll("[data-job-id]")].map((row) => [row.dataset.jobId, row]));
  if (jobs.length !== rows.size || jobs.some((job) => !rows.has(job.job_id))) {
    localTimes(await refresh("#jobs"));
    return true;
  }
  for (const job of jobs) {
    const row = rows.get(job.job_id);
    if (show(row.querySelector(".chip"), job.status)) announce(`${job.file_name}: ${row.querySelector(".chip").textContent}`);
    row.querySelector(".so-far").textContent = besides(job);
    if (job.complete_time) row.querySelector(".cancel")?.remove();
  }
  return true;
}

repeat(step, EVERY_MS);
