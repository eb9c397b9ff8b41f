// Writes merkle_tree.json: roots and proofs by @openzeppelin/merkle-tree 1.0.8. Run once by hand where that package is
// installed: node generate_merkle_tree.mjs > merkle_tree.json
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";
import { createHash } from "node:crypto";

const digest = (text) => createHash("sha256").update(text).digest("hex");
const cases = [];
for (const size of [1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 100]) {
  const claims = [];
  for (let i = 0; i < size; i += 1) {
    const account = `0x${digest(`account ${size} ${i}`).slice(0, 40)}`;
    claims.push([account, BigInt(`0x${digest(`amount ${size} ${i}`).slice(0, 26)}`).toString()]);
  }
  const tree = StandardMerkleTree.of(claims, ["address", "uint256"]);
  const proofs = claims.map((_, i) => tree.getProof(i));
  cases.push({ root: tree.root, claims: claims.map(([account, cumulative], i) => ({ account, cumulative, proof: proofs[i] })) });
}
process.stdout.write(`${JSON.stringify({ made_with: "@openzeppelin/merkle-tree 1.0.8", cases }, null, 1)}\n`);
