// Bundles the page into the agent's package: index.html, scripts and styles named by their content, and the licences of
// what is bundled. An argument names another folder.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? join(here, "..", "..", "agent", "heapwarden", "web", "live");
const LICENCES = "THIRD-PARTY.txt";

const bundled = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.ts", "src/theme.ts"],
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  format: "esm",
  target: ["es2020", "chrome100", "firefox100", "safari15.4"],
  outdir: "out",
  entryNames: "[name]",
  legalComments: "none",
});

/** The same content has the same name, whatever machine built it. */
function named({ path, contents }) {
  const [, stem, extension] = /^(.*)\.([a-z]+)$/.exec(basename(path));
  const hash = createHash("sha256").update(contents).digest("hex").slice(0, 10);
  return { plain: basename(path), name: `${stem}-${hash}.${extension}`, contents };
}

function index(files) {
  let html = readFileSync(join(here, "src", "index.html"), "utf8");
  for (const { plain, name } of files) html = html.replace(`"${plain}"`, `"live/${name}"`);
  return html;
}

/** Name, version and licence text of each package that went in. */
function licences(metafile) {
  const inputs = Object.keys(metafile.inputs);
  const packages = new Set(inputs.map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1]).filter(Boolean));
  const texts = [...packages].sort().map((name) => {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, "LICENSE"), "utf8").trim()}\n`;
  });
  return `This page contains the following packages.\n\n${texts.join("\n\n")}`;
}

const files = bundled.outputFiles.map(named);
rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const { name, contents } of files) writeFileSync(join(target, name), contents);
writeFileSync(join(target, "index.html"), index(files));
writeFileSync(join(target, LICENCES), licences(bundled.metafile));
for (const { name, contents } of files) console.log(`${String(contents.length).padStart(7)} bytes  ${name}`);
