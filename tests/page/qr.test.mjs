// QR codes as another program reads them: `jsqr`, in the folder that JSQR names.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import { qrCode } from "../../page/qr.js";

const decode = createRequire(`${process.env.JSQR}/`)("jsqr");

const CELL = 4;
const QUIET = 4;

/** What `jsqr` reads when it is shown `code`. */
function read(code) {
  const size = (code.length + 2 * QUIET) * CELL;
  const pixels = new Uint8ClampedArray(size * size * 4).fill(255);
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      const dark = code[Math.floor(y / CELL) - QUIET]?.[Math.floor(x / CELL) - QUIET];
      if (dark) pixels.fill(0, (y * size + x) * 4, (y * size + x) * 4 + 3);
    }
  }
  return decode(pixels, size, size)?.data;
}

test("every length that fits is read as it was written", () => {
  const versions = new Set();
  for (let length = 1; length <= 213; length += 1) {
    const text = Array.from({ length }, (_, i) => String.fromCharCode(33 + ((i * 7 + length) % 94)));
    const code = qrCode(text.join(""));
    versions.add((code.length - 17) / 4);
    assert.equal(read(code), text.join(""), `${length} bytes`);
  }
  assert.deepEqual([...versions], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("links are read, also those with other letters", () => {
  for (const text of ["http://192.168.1.7:3001/r/TYDHUP", "https://ตัวอย่าง.ไทย/r/HELLO"]) {
    assert.equal(read(qrCode(text)), text);
  }
});

test("a damaged code is still read", () => {
  const code = qrCode("https://sync.example.com/r/TYDHUP");
  for (let x = 10; x < 16; x += 1) code[12][x] = !code[12][x];
  assert.equal(read(code), "https://sync.example.com/r/TYDHUP");
});

test("what is too long is said so", () => {
  assert.equal(qrCode("x".repeat(214)), null);
});
