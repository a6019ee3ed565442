// QR codes after ISO/IEC 18004: bytes, error correction level M, versions 1 to 10, which hold up
// to 213 bytes.

/** By version: correction bytes of a block, then how many blocks have how many bytes of data. */
const BLOCKS = [
  [10, [1, 16]], [16, [1, 28]], [26, [1, 44]], [18, [2, 32]], [24, [2, 43]], [16, [4, 27]],
  [18, [4, 31]], [22, [2, 38], [2, 39]], [22, [3, 36], [2, 37]], [26, [4, 43], [1, 44]],
];
/** By version: where the centres of alignment patterns are. */
const CENTRES = [
  [], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46],
  [6, 28, 50],
];
const MASKS = [
  (x, y) => (x + y) % 2, (x, y) => y % 2, (x) => x % 3, (x, y) => (x + y) % 3,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2, (x, y) => ((x * y) % 2) + ((x * y) % 3),
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2, (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
];

/** The code of `text` as rows of booleans, true for dark; `null` if it is too long for one. */
export function qrCode(text) {
  const bytes = new TextEncoder().encode(text);
  const index = BLOCKS.findIndex((_, at) => bytes.length + (at < 9 ? 2 : 3) <= capacity(at));
  if (index < 0) return null;
  const codewords = interleave(encode(bytes, index), index);
  const drawn = MASKS.map((_, mask) => draw(codewords, index + 1, mask));
  const penalties = drawn.map(penalty);
  return drawn[penalties.indexOf(Math.min(...penalties))];
}

/** The code of `text` as an SVG element, dark on light whatever the page's colours are. */
export function qrImage(text, label) {
  const code = qrCode(text);
  if (!code) return null;
  const size = code.length + 8; // a quiet zone of 4 all around
  const cells = code.flatMap((row, y) =>
    row.flatMap((dark, x) => (dark ? [`M${x + 4} ${y + 4}h1v1h-1z`] : [])));
  const make = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const svg = make("svg", {
    viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": label,
    "shape-rendering": "crispEdges",
  });
  svg.append(make("rect", { width: size, height: size, fill: "#fff" }));
  svg.append(make("path", { d: cells.join(""), fill: "#000" }));
  return svg;
}

function capacity(index) {
  return BLOCKS[index].slice(1).reduce((sum, [count, data]) => sum + count * data, 0);
}

/** Mode, length and data as bytes, filled up. */
function encode(bytes, index) {
  const lengthBits = index < 9 ? 8 : 16;
  let bits = `0100${bytes.length.toString(2).padStart(lengthBits, "0")}`;
  for (const byte of bytes) bits += byte.toString(2).padStart(8, "0");
  bits += "0000";
  const data = bits.match(/.{1,8}/g).map((part) => parseInt(part.padEnd(8, "0"), 2));
  for (let pad = 0xec; data.length < capacity(index); pad ^= 0xec ^ 0x11) data.push(pad);
  return data;
}

/** The blocks with their corrections, byte by byte in turn. */
function interleave(data, index) {
  const [correctionBytes, ...groups] = BLOCKS[index];
  const blocks = [];
  let at = 0;
  for (const [count, length] of groups) {
    for (let block = 0; block < count; block += 1) blocks.push(data.slice(at, (at += length)));
  }
  const inTurn = (lists) => {
    const longest = Math.max(...lists.map((list) => list.length));
    return Array.from({ length: longest }, (_, i) => lists.flatMap((list) => list[i] ?? [])).flat();
  };
  return [...inTurn(blocks), ...inTurn(blocks.map((block) => correction(block, correctionBytes)))];
}

/** Multiplication in GF(256) modulo x⁸ + x⁴ + x³ + x² + 1. */
function times(one, other) {
  let product = 0;
  for (let bit = 7; bit >= 0; bit -= 1) {
    product = (product << 1) ^ ((product >> 7) * 0x11d);
    product ^= ((other >> bit) & 1) * one;
  }
  return product;
}

/** The remainder of Reed and Solomon. */
function correction(block, length) {
  let generator = [1];
  for (let i = 0, root = 1; i < length; i += 1, root = times(root, 2)) {
    const shifted = [...generator, 0];
    generator.forEach((factor, at) => (shifted[at + 1] ^= times(factor, root)));
    generator = shifted;
  }
  const remainder = new Array(length).fill(0);
  for (const byte of block) {
    const factor = byte ^ remainder.shift();
    remainder.push(0);
    remainder.forEach((_, at) => (remainder[at] ^= times(generator[at + 1], factor)));
  }
  return remainder;
}

/** `value` with the remainder of its division by `generator`, of `bits` bits, behind it. */
function withRemainder(value, generator, bits) {
  let remainder = value;
  for (let i = 0; i < bits; i += 1) {
    remainder = (remainder << 1) ^ ((remainder >> (bits - 1)) * generator);
  }
  return (value << bits) | remainder;
}

function draw(codewords, version, mask) {
  const size = 17 + 4 * version;
  const cells = Array.from({ length: size }, () => new Array(size).fill(null));
  const set = (x, y, dark) => {
    if (y >= 0 && y < size && x >= 0 && x < size) cells[y][x] = Boolean(dark);
  };
  for (let i = 8; i < size - 8; i += 1) {
    set(6, i, i % 2 === 0);
    set(i, 6, i % 2 === 0);
  }
  const square = (x, y, reach, isDark) => {
    for (let dy = -reach; dy <= reach; dy += 1) {
      for (let dx = -reach; dx <= reach; dx += 1) {
        set(x + dx, y + dy, isDark(Math.max(Math.abs(dx), Math.abs(dy))));
      }
    }
  };
  for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]]) {
    square(x, y, 4, (ring) => ring !== 2 && ring !== 4);
  }
  const centres = CENTRES[version - 1];
  const last = centres.at(-1);
  for (const x of centres) {
    for (const y of centres) {
      const isFinder = (x === 6 && y === 6) || (x === 6 && y === last) || (x === last && y === 6);
      if (!isFinder) square(x, y, 2, (ring) => ring !== 1);
    }
  }
  drawInformation(set, size, version, mask);
  drawData(cells, codewords, mask);
  return cells;
}

function drawInformation(set, size, version, mask) {
  // Level M is 00.
  const format = withRemainder(mask, 0x537, 10) ^ 0x5412;
  for (let i = 0; i < 15; i += 1) {
    const dark = (format >> i) & 1;
    set(8, i < 6 ? i : i < 8 ? i + 1 : size - 15 + i, dark);
    set(i < 8 ? size - 1 - i : i < 9 ? 7 : 14 - i, 8, dark);
  }
  set(8, size - 8, true);
  if (version < 7) return;
  const bits = withRemainder(version, 0x1f25, 12);
  for (let i = 0; i < 18; i += 1) {
    const [far, near] = [size - 11 + (i % 3), Math.floor(i / 3)];
    set(far, near, (bits >> i) & 1);
    set(near, far, (bits >> i) & 1);
  }
}

/** Fills what is free in columns of two from the right, upwards and downwards in turn. */
function drawData(cells, codewords, mask) {
  const size = cells.length;
  let bit = 0;
  let upwards = true;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; step += 1) {
      const y = upwards ? size - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (cells[y][x] !== null) continue;
        const dark = (codewords[bit >> 3] >> (7 - (bit & 7))) & 1;
        cells[y][x] = Boolean(dark) !== (MASKS[mask](x, y) === 0);
        bit += 1;
      }
    }
    upwards = !upwards;
  }
}

/** How hard a code is to read: long runs, squares, what looks like a corner, and imbalance. */
function penalty(cells) {
  const size = cells.length;
  const columns = cells.map((_, x) => cells.map((row) => row[x]));
  let sum = 0;
  for (const line of [...cells, ...columns]) {
    const text = line.map(Number).join("");
    for (const [run] of text.matchAll(/0{5,}|1{5,}/g)) sum += run.length - 2;
    sum += 40 * [...text.matchAll(/(?=10111010000|00001011101)/g)].length;
  }
  for (let y = 1; y < size; y += 1) {
    for (let x = 1; x < size; x += 1) {
      const [one, ...others] = [cells[y][x], cells[y - 1][x], cells[y][x - 1], cells[y - 1][x - 1]];
      if (others.every((other) => other === one)) sum += 3;
    }
  }
  const dark = cells.flat().filter(Boolean).length / size ** 2;
  return sum + 10 * Math.floor(Math.abs(dark * 20 - 10));
}
