// My jobs: statuses move by themselves, and jobs submitted elsewhere appear.

import { getJson, refresh, repeat } from "./api.js";
import { localTimes } from "./site.js";
import { announce, besides, show } from "./status.js";

const EVERY_MS = 2000;

const list = () => document.querySelector("#jobs");

function rowsById() {
  return new Map([...list().querySelectorAll("[data-job-id]")].map((row) => [row.dataset.jobId, row]));
}

function move(row, job) {
  if (show(row.querySelector(".chip"), job.status)) announce(`${job.file_name}: ${row.querySelector(".chip").textContent}`);
  row.querySelector(".so-far").textContent = besides(job);
  if (job.complete_time) row.querySelector(".cancel")?.remove();
}

async function step() {
  const { limit, cursor } = list().dataset;
  const query = new URLSearchParams({ limit, ...(cursor && { cursor }) });
  const { jobs } = await getJson(`jobs?${query}`);
  const rows = rowsById();
  if (jobs.length !== rows.size || jobs.some((job) => !rows.has(job.job_id))) {
    localTimes(await refresh("#jobs"));
    return true;
  }
  for (const job of jobs) move(rows.get(job.job_id), job);
  return true;
}

/** A search is not made again and again: only what it found and has not ended is looked at. */
async function searchStep() {
  const going = [...rowsById()].filter(([, row]) => row.querySelector(".cancel"));
  for (const [jobId, row] of going) move(row, await getJson(`jobs/${jobId}`));
  return going.length > 0;
}

repeat("search" in list().dataset ? searchStep : step, EVERY_MS);
