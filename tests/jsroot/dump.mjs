// Print every table of a ROOT file as JSROOT reads it; run by test_jsroot.py.
// Usage: dump.mjs FILE TABLES.json: a list of [table, [column, ...]]. Prints a list of rows each.
// A histogram is listed as [name, null]; its bins are printed.
import { readFileSync } from 'node:fs';
import { openFile } from 'jsroot';
import { rntupleProcess } from 'jsroot/rntuple';
import { TSelector } from 'jsroot/tree';

class Rows extends TSelector {
  constructor(columns) {
    super();
    this.columns = columns;
    this.rows = [];
    columns.forEach(column => this.addBranch(column));
  }

  Process() {
    this.rows.push(this.columns.map(column => this.tgtobj[column]));
  }
}

// JSON has no integers of 64 bits, no NaN, no infinity and no negative zero: they go as text.
function plain(_, value) {
  if (ArrayBuffer.isView(value)) return [...value];
  const special = typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0));
  return typeof value === 'bigint' || special ? (Object.is(value, -0) ? '-0' : `${value}`) : value;
}

const [file, tables] = process.argv.slice(2);
const opened = await openFile(file);
const found = [];
for (const [table, columns] of JSON.parse(readFileSync(tables))) {
  const ntuple = await opened.readObject(table);
  if (columns === null) {
    found.push(ntuple.fArray);
    continue;
  }
  const selector = new Rows(columns);
  await rntupleProcess(ntuple, selector);
  found.push(selector.rows);
}
console.log(JSON.stringify(found, plain));
