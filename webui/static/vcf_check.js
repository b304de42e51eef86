// What is plainly wrong with a file, told before it is sent. The server looks properly.

import { wrongText } from "./vcf_text.js";

const NAME = /\.(vcf(\.b?gz)?|bcf)$/i;
const LOOK_BYTES = 128 * 1024; // a bgzip block and what begins behind it
const TEXT_BYTES = 1024 * 1024;
const BGZF = [0x1f, 0x8b, 8, 4, , , , , , , , , 0x42, 0x43, 2, 0]; // with what may differ left out
const BGZF_END = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 0x42, 0x43, 2, 0, 0x1b, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const UNITS = ["bytes", "KiB", "MiB", "GiB"];

export function size(bytes) {
  let amount = bytes;
  let unit = 0;
  while (amount >= 1024 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${unit ? Number(amount.toPrecision(3)) : amount} ${UNITS[unit]}`;
}

const isBgzf = (bytes) => bytes.length >= 18 && BGZF.every((byte, number) => byte === undefined || bytes[number] === byte);

/** What gzip data inflates to; of data that is damaged or goes on, its beginning. */
async function inflated(bytes) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  const parts = [];
  let size = 0;
  try {
    while (size < TEXT_BYTES) {
      const { done, value } = await reader.read();
      if (done) return { parts, ended: true };
      parts.push(value);
      size += value.length;
    }
    reader.cancel().catch(() => {});
  } catch { /* the slice ends within the data, or another member follows */ }
  return { parts, ended: false };
}

/** The text of the bgzip blocks that lie in `head` whole. */
async function bgzfText(head) {
  const parts = [];
  for (let start = 0; isBgzf(head.subarray(start));) {
    const end = start + head[start + 16] + 256 * head[start + 17] + 1;
    if (end > head.length || end <= start + 18) break;
    const block = await inflated(head.subarray(start, end));
    if (!block.ended) break;
    parts.push(...block.parts);
    start = end;
  }
  return parts;
}

/** Whether eight zeros are in it, with which each gzip member ends that holds nothing. */
const hasEmptyMember = (head) => head.some((_, start) => start + 8 <= head.length
  && head.subarray(start, start + 8).every((byte) => byte === 0));

/** The file's first characters, unpacked where it is gzip or bgzip; `text` is null where they cannot be known. */
async function beginning(file) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const head = new Uint8Array(await file.slice(0, LOOK_BYTES).arrayBuffer());
  const all = head.length === file.size;
  if (head[0] !== 0x1f || head[1] !== 0x8b) return { text: decoder.decode(head), whole: all };
  if (typeof DecompressionStream === "undefined") return { text: null };
  let parts = isBgzf(head) ? await bgzfText(head) : [];
  if (!parts.length) {
    const found = await inflated(head);
    ({ parts } = found);
    if (!parts.length) return { text: null, empty: found.ended && all, torn: !found.ended && !hasEmptyMember(head) };
  }
  return { text: decoder.decode(await new Blob(parts).arrayBuffer()), whole: false };
}

/** Whether it is bgzip without the block that every bgzip file ends with. */
async function isCutOff(file) {
  if (!isBgzf(new Uint8Array(await file.slice(0, 18).arrayBuffer()))) return false;
  const tail = new Uint8Array(await file.slice(-BGZF_END.length).arrayBuffer());
  return tail.length < BGZF_END.length || BGZF_END.some((byte, number) => tail[number] !== byte);
}

/** What else it is, by the first bytes that every file of that kind has; "" for nothing known. */
function otherKind(text) {
  if (text.startsWith("BAM\u0001")) return "is a BAM file, which holds reads. Call its variants first, and upload the VCF.";
  if (text.startsWith("CRAM")) return "is a CRAM file, which holds reads. Call its variants first, and upload the VCF.";
  if (text.startsWith("PK\u0003\u0004")) return "is a ZIP archive. Unpack it, and upload the VCF that is in it.";
  return "";
}

/**
 * What is wrong with a file, as far as the browser can see; "" for nothing. `tooLarge` is said of its size, `replaced`
 * names what the server takes out of it before it looks at the records.
 */
export async function wrongWith(file, { limit, tooLarge, replaced }) {
  if (file.size === 0) return `${file.name} is empty.`;
  const { text, whole, empty, torn } = await beginning(file);
  const other = otherKind(text ?? "");
  if (other) return `${file.name} ${other}`;
  if (!NAME.test(file.name)) return `${file.name} does not end in .vcf, .vcf.gz or .bcf. Choose a VCF or BCF file.`;
  if (file.size > limit) return tooLarge.replace("{size}", size(file.size));
  if (torn) return `${file.name} begins like a gzip file, but cannot be unpacked. Was it copied completely?`;
  if (empty) return `${file.name}: The file is empty once it is decompressed.`;
  if (await isCutOff(file)) {
    return `${file.name}: The bgzip data is cut off: the block that ends every bgzip file is missing. Upload the whole file.`;
  }
  if (text === null || text.startsWith("BCF\u0002")) return "";
  const wrong = wrongText(text, { whole, replaced });
  return wrong && `${file.name}: ${wrong}`;
}
