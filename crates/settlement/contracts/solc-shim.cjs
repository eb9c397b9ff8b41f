#!/usr/bin/env node
// Lets forge and slither use npm's solc as if it were the native compiler: forge would otherwise download one.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const solc = require("solc");

const args = process.argv.slice(2);
if (args.includes("--version")) {
  const version = solc.version().replace("Emscripten.clang", "Linux.g++");
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${version}\n`);
} else if (args.includes("--standard-json")) {
  const after = (flag) => args.flatMap((arg, i) => (arg === flag ? [args[i + 1]] : []));
  const roots = [...after("--base-path"), ...after("--include-path"), process.cwd(), path.join(__dirname, "node_modules")];
  const findImport = (name) => {
    const file = [name, ...roots.map((root) => path.join(root, name))].find((f) => fs.existsSync(f));
    return file ? { contents: fs.readFileSync(file, "utf8") } : { error: `${name} not found` };
  };
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8"), { import: findImport }));
} else {
  process.stderr.write(`solc-shim: cannot do ${args.join(" ")}\n`);
  process.exit(1);
}
