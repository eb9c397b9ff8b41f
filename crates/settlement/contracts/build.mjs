// Compiles the contracts with npm's solc and writes ../artifacts/{Ember,Distributor}.json, which are committed so that
// a Rust build never needs Node. `--check` compiles again and fails when a committed artifact differs.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const solc = require("solc");
const { keccak256 } = require("js-sha3");

const here = dirname(fileURLToPath(import.meta.url));
const artifacts = join(here, "..", "artifacts");
const contracts = ["Distributor", "Ember"];
// Everything that decides the bytecode. crates/settlement/tests/artifacts.rs hashes the same files in the same way.
const hashed = ["compiler.json", "package-lock.json", "src/Distributor.sol", "src/Ember.sol"];

function sourceHash() {
  const hash = keccak256.create();
  for (const name of hashed) {
    const bytes = readFileSync(join(here, name));
    hash.update(`${name}\0${bytes.length}\0`);
    hash.update(bytes);
  }
  return `0x${hash.hex()}`;
}

function findImport(path) {
  const file = join(here, "node_modules", path);
  return existsSync(file) ? { contents: readFileSync(file, "utf8") } : { error: `${path} not found, run npm ci` };
}

function compile() {
  const { version, settings } = JSON.parse(readFileSync(join(here, "compiler.json"), "utf8"));
  if (!solc.version().startsWith(`${version}+`)) {
    throw new Error(`compiler.json asks for solc ${version}, node_modules has ${solc.version()}`);
  }
  const wanted = ["abi", "evm.bytecode.object", "evm.deployedBytecode", "evm.methodIdentifiers", "storageLayout"];
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(
      contracts.map((name) => [`src/${name}.sol`, { content: readFileSync(join(here, "src", `${name}.sol`), "utf8") }]),
    ),
    settings: { ...settings, outputSelection: { "*": { "*": wanted } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
  const problems = (output.errors ?? []).filter((e) => e.severity !== "info");
  if (problems.length > 0) {
    throw new Error(problems.map((e) => e.formattedMessage).join("\n"));
  }
  return output.contracts;
}

function artifact(name, compiled, hash) {
  const contract = compiled[`src/${name}.sol`][name];
  const slots = contract.storageLayout.storage.map(({ label, slot, offset }) => [label, { slot: Number(slot), offset }]);
  const value = {
    contract: name,
    sourceHash: hash,
    selectors: contract.evm.methodIdentifiers,
    storage: Object.fromEntries(slots),
    hasImmutables: Object.keys(contract.evm.deployedBytecode.immutableReferences ?? {}).length > 0,
    bytecode: `0x${contract.evm.bytecode.object}`,
    deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
    abi: contract.abi,
  };
  return `${JSON.stringify(value, null, 1)}\n`;
}

const check = process.argv.includes("--check");
const compiled = compile();
const hash = sourceHash();
let differs = false;
mkdirSync(artifacts, { recursive: true });
for (const name of contracts) {
  const path = join(artifacts, `${name}.json`);
  const text = artifact(name, compiled, hash);
  const size = (JSON.parse(text).deployedBytecode.length - 2) / 2;
  if (!check) {
    writeFileSync(path, text);
    console.log(`${name}: ${size} bytes of code`);
  } else if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
    differs = true;
    console.error(`${name}: the committed artifact is not what these sources compile to; run node build.mjs`);
  } else {
    console.log(`${name}: the committed artifact is what these sources compile to`);
  }
}
process.exitCode = differs ? 1 : 0;
