// The types tell of what there is, no more and no less.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import * as library from "../khun-phaen-sync.js";

const types = await readFile(new URL("../khun-phaen-sync.d.ts", import.meta.url), "utf8");
const source = await readFile(new URL("../khun-phaen-sync.js", import.meta.url), "utf8");

function found(text, pattern) {
  return [...new Set([...text.matchAll(pattern)].map(([, name]) => name))].sort();
}

test("every export has a type, and every typed value is exported", () => {
  const typed = found(types, /^export (?:class|const|function) (\w+)/gm);
  assert.deepEqual(typed, Object.keys(library).sort());
});

test("every member of the client has a type", () => {
  const [, body] = /^export class SyncClient \{$(.*?)^\}$/ms.exec(types);
  const typed = found(body, /^ {2}(?:readonly )?(\w+)[(:<]/gm);
  const members = Object.getOwnPropertyNames(library.SyncClient.prototype);
  assert.deepEqual(typed, members.sort());
});

test("every event has a type", () => {
  const [, body] = /^export interface SyncEvents \{$(.*?)^\}$/ms.exec(types);
  assert.deepEqual(found(body, /^ {2}(\w+):/gm), found(source, /#emit\("(\w+)"/g));
});

test("the package names what it has", async () => {
  const text = await readFile(new URL("../package.json", import.meta.url), "utf8");
  const { exports, files, types: main } = JSON.parse(text);
  assert.deepEqual(exports["."], { types: main, default: "./khun-phaen-sync.js" });
  for (const file of files) await readFile(new URL(`../${file}`, import.meta.url));
  const licence = async (folder) => readFile(new URL(`${folder}/LICENSE`, import.meta.url), "utf8");
  assert.equal(await licence(".."), await licence("../.."));
  assert.equal((await import("khun-phaen-sync")).SyncClient, library.SyncClient);
});
