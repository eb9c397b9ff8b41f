// Runs the forge that npm installed, without its wrapper script and with a HOME of its own, so that nothing is written
// outside this directory. Arguments are passed on: `node forge.mjs test --gas-report`.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const processor = { x64: "amd64", arm64: "arm64" }[process.arch] ?? process.arch;
const name = process.platform === "win32" ? "forge.exe" : "forge";
const forge = join(here, "node_modules", "@foundry-rs", `forge-${process.platform}-${processor}`, "bin", name);
if (!existsSync(forge)) {
  console.error(`forge is not installed for ${process.platform} on ${process.arch}: run npm ci in ${here}`);
  process.exit(2);
}
const home = join(here, "cache", "home");
mkdirSync(home, { recursive: true });
const run = spawnSync(forge, process.argv.slice(2), {
  cwd: here,
  stdio: "inherit",
  env: { ...process.env, HOME: home, FOUNDRY_DISABLE_NIGHTLY_WARNING: "1" },
});
process.exit(run.status ?? 1);
