import { readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'

/** JavaScript that the browser needs before the first page shows: the entry and what it imports statically, gzipped, in kB (1000 bytes). */
export async function firstLoadKilobytes(dist: URL): Promise<number> {
  const html = await readFile(new URL('index.html', dist), 'utf8')
  const first = [...html.matchAll(/<(?:script|link)[^>]+(?:src|href)="([^"]+\.js)"/g)].map((match) => match[1] as string)
  const seen = new Set<string>()
  let bytes = 0
  for (let next = first.pop(); next !== undefined; next = first.pop()) {
    const url = new URL(next.replace(/^\//, './'), dist)
    if (seen.has(url.href)) continue
    seen.add(url.href)
    const source = await readFile(url)
    bytes += gzipSync(source).length
    // Static imports only; `import(` is loaded later.
    for (const match of source.toString().matchAll(/(?:^|[;\s}])(?:import|export)[^;(]*?from\s*"(\.[^"]+\.js)"/g)) {
      first.push(new URL(match[1] as string, url).href.slice(dist.href.length))
    }
  }
  return bytes / 1000
}
