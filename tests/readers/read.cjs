// read.cjs READER: an array of texts in JSON on standard input, an array of what the reader makes of each on
// standard output: an object, or the error in words.
"use strict";
const fs = require("fs");

const readers = {
  dotenv: (text) => require("dotenv").parse(text),
  "dotenv-fast": (text) => require("dotenv").parse(text, { fast: true }),
  json: JSON.parse,
  "yaml-1.1": (text) => require("yaml").parse(text, { version: "1.1" }),
  "yaml-1.2": (text) => require("yaml").parse(text, { version: "1.2" }),
};

function outcome(read, text) {
  try {
    return read(text);
  } catch (error) {
    return String(error);
  }
}

const read = readers[process.argv[2]];
const texts = JSON.parse(fs.readFileSync(0, "utf8"));
fs.writeFileSync(1, JSON.stringify(texts.map((text) => outcome(read, text))));
