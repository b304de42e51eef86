// What is plainly wrong with a file, told before it is sent. The server looks properly.

const NAME = /\.(vcf(\.b?gz)?|bcf)$/i;
const LOOK_BYTES = 64 * 1024;
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

/** The file's first characters, unpacked where it is gzip or bgzip; null where this browser cannot unpack. */
async function beginning(blob) {
  const head = blob.slice(0, LOOK_BYTES);
  const magic = new Uint8Array(await head.slice(0, 2).arrayBuffer());
  if (magic[0] !== 0x1f || magic[1] !== 0x8b) return head.text();
  if (typeof DecompressionStream === "undefined") return null;
  const reader = head.stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  const { value } = await reader.read();
  reader.cancel().catch(() => {}); // the rest of the slice ends in the middle of a block
  return new TextDecoder().decode(value);
}

/** What else it is, by the first bytes that every file of that kind has; "" for nothing known. */
function otherKind(text) {
  if (text.startsWith("BAM\u0001")) return "is a BAM file, which holds reads. Call its variants first, and upload the VCF.";
  if (text.startsWith("CRAM")) return "is a CRAM file, which holds reads. Call its variants first, and upload the VCF.";
  if (text.startsWith("PK\u0003\u0004")) return "is a ZIP archive. Unpack it, and upload the VCF that is in it.";
  return "";
}

/** What is wrong with a file, as far as the browser can see; "" for nothing. `tooLarge` is said of its size. */
export async function wrongWith(file, { limit, tooLarge }) {
  if (file.size === 0) return `${file.name} is empty.`;
  let text = null;
  let torn = false;
  try {
    text = await beginning(file);
  } catch {
    torn = true;
  }
  const other = otherKind(text ?? "");
  if (other) return `${file.name} ${other}`;
  if (!NAME.test(file.name)) return `${file.name} does not end in .vcf, .vcf.gz or .bcf. Choose a VCF or BCF file.`;
  if (file.size > limit) return tooLarge.replace("{size}", size(file.size));
  if (torn) return `${file.name} begins like a gzip file, but cannot be unpacked. Was it copied completely?`;
  if (text !== null && !text.startsWith("##fileformat=VCF") && !text.startsWith("BCF")) {
    return `${file.name} does not look like a VCF: its first line should begin with ##fileformat=VCF.`;
  }
  return "";
}
