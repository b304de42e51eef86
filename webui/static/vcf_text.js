// What is wrong with the text of a VCF, as far as its beginning shows: what the server's check says of it, in the same
// words. What it refuses, the server refuses too; what only the whole file or the reference shows is left to the server.

const BEGINNING = "##fileformat=VCFv4.";
const FIXED = ["CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"];
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/; // but the tab
const POSITION = /^\d{1,10}$/;
const REF = /^[ACGTUNMRWSYKVHDB]+$/i;
const BASES = /^[ACGTNMRWSYKVHDB]+$/i;
const SYMBOLIC = /^<[^<> ,]+>$/;
const BREAKEND = /^(?:[ACGTN.]*[[\]][^[\] ,]+:\d+[[\]][ACGTN.]*|\.[ACGTN]+|[ACGTN]+\.)$/i;
const QUALITY = /^(?:[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|\.|nan|[-+]?inf(?:inity)?)$/i;
const DECLARATION = /^##(INFO|FORMAT)=<ID=([^,>]+).*>$/s;
const UNREADABLE = "\ufffd"; // stands for bytes that are not UTF-8; those may differ where the text does not

const count = (number) => number.toLocaleString("en-US");
const at = (line, sentence) => `line ${count(line)}: ${sentence}`;

function shown(text, most = 40, more = "...") {
  const said = (text.length > most ? text.slice(0, most) + more : text).replaceAll("\\", "\\\\").replaceAll("\t", "\\t");
  return said.includes("'") && !said.includes('"') ? `"${said}"` : `'${said.replaceAll("'", "\\'")}'`;
}

/** The lines of a text, without their ends; one that may go on behind the text is left out. */
function linesOf(text, whole) {
  const lines = text.split("\n");
  const rest = lines.pop();
  if (whole && rest) lines.push(rest);
  return lines.map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
}

function wrongColumns(columns, line) {
  if (FIXED.some((name, number) => columns[number] !== name)) {
    const missing = FIXED.filter((name) => !columns.includes(name));
    const what = missing.length ? `lacks ${missing.join(", ")}` : "has its columns in another order";
    return at(line, `The #CHROM line ${what}; it must be tab-separated: #${FIXED.join(" ")}.`);
  }
  if (columns.length > 8 && columns[8] !== "FORMAT") {
    return at(line, `The ninth column of the #CHROM line must be FORMAT, and is ${shown(columns[8], 40, "")}.`);
  }
  const samples = columns.slice(9);
  if (samples.some((name) => !name || /^[ \r\v\f]|[ \r\v\f]$/.test(name))) {
    return at(line, "A sample in the #CHROM line has an empty name, or one that begins or ends with a space.");
  }
  if (columns.some((name) => CONTROL.test(name))) return at(line, "The #CHROM line holds control characters.");
  const seen = new Set();
  for (const name of samples) {
    if (seen.has(name) && !name.includes(UNREADABLE)) {
      return at(line, `Two sample columns are called ${shown(name, 60, "")}; give each its own name.`);
    }
    seen.add(name);
  }
  return "";
}

function wrongAllele(ref, alt) {
  if (!REF.test(ref)) return `REF must be bases, and is ${shown(ref)}.`;
  if (alt === ".") return "";
  const known = (allele) => allele === "*" || [BASES, SYMBOLIC, BREAKEND].some((form) => form.test(allele));
  if (alt.split(",").every(known)) return "";
  return `ALT must be bases, '*', <SYMBOLIC> or a breakend, and is ${shown(alt)}.`;
}

function wrongRecord(line, nColumns) {
  const fields = line.split("\t");
  if (line.startsWith("#")) return "A header line stands among the records; are two files joined here?";
  if (fields.length !== nColumns) {
    const hint = fields.length === 1 ? " Columns are separated by tabs, not by spaces." : "";
    return `The record has ${count(fields.length)} columns, and the #CHROM line has ${count(nColumns)}.${hint}`;
  }
  if (fields.slice(0, 9).includes("")) return "A column is empty; a missing value is written '.'.";
  const [, pos, , ref, alt, quality] = fields;
  if (!POSITION.test(pos)) return `POS must be a whole number, and is ${shown(pos)}.`;
  const allele = wrongAllele(ref, alt);
  if (allele) return allele;
  if (!QUALITY.test(quality)) return `QUAL must be a number or '.', and is ${shown(quality)}.`;
  return fields.includes("") ? "A column is empty; a missing value is written '.'." : "";
}

function wrongRecords(lines, header) {
  const first = header.length + 1;
  const control = lines.findIndex((line) => CONTROL.test(line));
  if (control >= 0) {
    const code = CONTROL.exec(lines[control])[0].charCodeAt(0).toString(16).padStart(2, "0");
    return at(first + control, `The line holds the control character 0x${code}: this is not text, or it is damaged.`);
  }
  const nColumns = header.at(-1).split("\t").length;
  for (const [number, line] of lines.entries()) {
    const wrong = /^[ \t]*$/.test(line) ? "" : wrongRecord(line, nColumns);
    if (wrong) return at(first + number, wrong);
  }
  return "";
}

/**
 * What is wrong with the beginning of a file; "" for nothing.
 *
 * `whole`: the text is all of the file. `replaced`: names such as INFO/BCSQ; where the header declares one, the server
 * has another program take it out before it looks at the records, so that nothing is said of these.
 */
export function wrongText(given, { whole, replaced }) {
  const text = given.replace(/^\ufeff/, "");
  if (!text.startsWith(BEGINNING.slice(0, text.length))) {
    return "This is not a VCF: the first line of a VCF is ##fileformat=VCFv4.x. Take a VCF (plain, gzip or bgzip) or a BCF.";
  }
  const lines = linesOf(text, whole);
  const end = lines.findIndex((line) => !line.startsWith("##"));
  if (end < 0) {
    if (!whole) return "";
    return text.endsWith("\n") ? at(lines.length + 1, "The file ends without a #CHROM line: a VCF header ends with one.")
      : at(lines.length, "The file ends in its header.");
  }
  if (!lines[end].startsWith("#")) {
    return at(end + 1, "Before this line the header should end with a #CHROM line, and does not.");
  }
  const header = lines.slice(0, end + 1);
  if (!/^##fileformat=VCFv4\.\d+$/.test(header[0])) {
    return at(1, `GAS reads VCF 4.1 to 4.4, and this file says ${shown(header[0].replace("##fileformat=", ""), 60, "")}.`);
  }
  const control = header.slice(0, -1).findIndex((line) => CONTROL.test(line));
  if (control >= 0) return at(control + 1, "The header holds control characters: this is not a text file.");
  const wrong = wrongColumns(header.at(-1).slice(1).split("\t"), header.length);
  if (wrong) return wrong;
  const declared = header.map((line) => DECLARATION.exec(line)).filter(Boolean).map(([, kind, tag]) => `${kind}/${tag}`);
  if (declared.some((name) => replaced.includes(name))) return "";
  return wrongRecords(linesOf(text, false).slice(header.length), header);
}
