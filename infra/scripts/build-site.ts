import { globSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { readPackage } from './sources/project-files.ts';

const out = 'dist/site';
/** What a page may cost a phone, gzipped. */
const scriptMax = 60_000;

/** Whether the built page is newer than everything it was made from. */
function fresh(): boolean {
  const built = statSync(`${out}/index.html`, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = [
    ...globSync('web/*'),
    ...globSync('core/model/*'),
    'package.json',
    'package-lock.json',
    'infra/scripts/build-site.ts',
  ];
  return sources.every((file) => statSync(file).mtimeMs < built);
}

async function buildSite(): Promise<void> {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const result = await build({
    entryPoints: ['web/main.tsx', 'web/site.css'],
    ...{
      bundle: true,
      minify: true,
      format: 'esm',
      target: 'es2022',
      outdir: out,
      entryNames: '[name]-[hash]',
      metafile: true,
    },
    ...{ jsx: 'automatic', jsxImportSource: 'preact', loader: { '.svg': 'dataurl' }, logLevel: 'warning' },
  });
  const files = Object.keys(result.metafile.outputs).map((file) => file.slice(out.length + 1));
  const script = files.find((file) => file.endsWith('.js'));
  const style = files.find((file) => file.endsWith('.css'));
  const size = gzipSync(
    await import('node:fs').then(({ readFileSync }) => readFileSync(`${out}/${script}`)),
  ).length;
  if (size > scriptMax)
    throw new Error(`${out}/${script}: ${size} bytes gzipped; expected at most ${scriptMax}`);
  const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="version" content="${readPackage().version}">
<title>cronfleet</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/${style}">
<script type="module" src="/${script}"></script>
</head>
<body><div id="site"></div></body>
</html>
`;
  writeFileSync(`${out}/index.html`, page);
}

if (!fresh()) await buildSite();
