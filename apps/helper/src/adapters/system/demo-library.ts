/** Makes a small media library to try the program with: sound, pictures and text that really open. The same every time; nothing is downloaded. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'

/** Bytes to write, made when their turn comes: the whole library need not be in memory. */
type DemoFile = readonly [path: string, make: () => Uint8Array]

/** Writes about 60 files, 45 MB in all, into three folders of `directory`. @returns the folders, to be shared */
export async function writeDemoLibrary(directory: string): Promise<string[]> {
  for (const [path, make] of demoFiles()) {
    const file = join(directory, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, make())
  }
  return ['Music', 'Pictures', 'Texts'].map((folder) => join(directory, folder))
}

interface Album {
  readonly artist: string
  readonly title: string
  readonly tracks: readonly string[]
  /** Semitones above A2, one chord. */
  readonly chord: readonly number[]
  readonly secondsPerNote: number
}

const ALBUMS: readonly Album[] = [
  { artist: 'The Brass Otters', title: 'River Songs', tracks: ['Downstream', 'Two Stones', 'Holding Hands Asleep', 'Delta'], chord: [0, 4, 7, 12], secondsPerNote: 0.4 },
  { artist: 'Ólafía Sól', title: 'Vetrarljós', tracks: ['Fyrsti snjór', 'Ljós yfir heiði', 'Þögn', 'Vor'], chord: [-3, 0, 5, 9], secondsPerNote: 0.9 },
  { artist: '東京の夜', title: '雨音', tracks: ['終電', '傘の下で', '静かな交差点'], chord: [2, 5, 9, 14], secondsPerNote: 0.6 },
  { artist: 'Großstadt Kapelle', title: 'Kräuter & Rüben', tracks: ['Süßholz', 'Löwenzahn', 'Möhrenwalzer', 'Überzwerch'], chord: [0, 3, 7, 10], secondsPerNote: 0.3 },
  { artist: 'Музыка соседей', title: 'За стеной', tracks: ['Рояль', 'Дождь', 'Полночь'], chord: [-5, 0, 3, 7], secondsPerNote: 0.7 },
]

const PICTURES: readonly (readonly [folder: string, count: number, colours: readonly [number, number]])[] = [
  ['Gradients/Dawn', 6, [0xf4a261, 0x264653]],
  ['Gradients/Sea', 6, [0x90e0ef, 0x03045e]],
  ['Gradients/Forêt', 4, [0xb7e4c7, 0x081c15]],
]

function* demoFiles(): Generator<DemoFile> {
  for (const { artist, title, tracks, chord, secondsPerNote } of ALBUMS) {
    const folder = `Music/${artist}/${title}`
    for (const [i, track] of tracks.entries()) {
      yield [`${folder}/${String(i + 1).padStart(2, '0')} ${track}.wav`, () => makeWav({ seconds: 24 + 7 * i, chord, offset: i, secondsPerNote })]
    }
    yield [`${folder}/cover.svg`, () => text(makeCover(artist, title))]
    yield [`${folder}/tracks.m3u`, () => text(['#EXTM3U', ...tracks.map((track, i) => `${String(i + 1).padStart(2, '0')} ${track}.wav`), ''].join('\n'))]
  }
  for (const [folder, count, [from, to]] of PICTURES) {
    for (let i = 0; i < count; i++) yield [`Pictures/${folder}/${String(i + 1).padStart(3, '0')}.png`, () => makePng(640, 400, from, to, i)]
  }
  for (const [name, shape] of SHAPES) yield [`Pictures/Shapes/${name}.svg`, () => text(svg(shape))]
  yield* TEXTS.map(([path, body]): DemoFile => [`Texts/${path}`, () => text(body)])
}

const SHAPES: readonly (readonly [string, string])[] = [
  ['circle', '<circle cx="200" cy="200" r="150" fill="#e76f51"/>'],
  ['square', '<rect x="70" y="70" width="260" height="260" rx="24" fill="#2a9d8f"/>'],
  ['star', '<path d="M200 40 248 150 368 160 276 238 306 356 200 292 94 356 124 238 32 160 152 150Z" fill="#e9c46a"/>'],
  ['wave', '<path d="M0 220q50-120 100 0t100 0 100 0 100 0v180H0Z" fill="#457b9d"/>'],
]

const TEXTS: readonly (readonly [string, string])[] = [
  ['Read me first.txt', 'This is a demo: a second helper on your own machine shares these files with yours.\nEverything in here was generated; take what you like.\n'],
  ['Recipes/Rösti.md', '# Rösti\n\n- 1 kg waxy potatoes, boiled the day before\n- butter, salt\n\nGrate, salt, and fry slowly on both sides until golden.\n'],
  ['Recipes/味噌汁.md', '# 味噌汁\n\n- だし 600 ml\n- 味噌 大さじ3\n- 豆腐、わかめ、ねぎ\n\n火を止めてから味噌を溶く。\n'],
  ['Recipes/Bread.md', '# Bread\n\nFlour 500 g, water 350 g, salt 10 g, yeast 3 g. Mix, fold three times, rest overnight, bake hot.\n'],
  ['Lists/Records to find.txt', 'River Songs on vinyl\nanything by the neighbours\n'],
  ['Lists/Empty on purpose.txt', ''],
  ['Notes/2026/11/a long way down/and further/here.txt', 'Deep folders work, too.\n'],
  ["Notes/it's #1 & 100% fine.txt", 'Names with odd characters work, too.\n'],
]

const SAMPLE_RATE = 22_050

/** A calm arpeggio as 16-bit stereo PCM in RIFF/WAVE. One bar is computed and repeated: sound costs time to make. */
function makeWav({ seconds, chord, offset, secondsPerNote }: { seconds: number; chord: readonly number[]; offset: number; secondsPerNote: number }): Uint8Array {
  const noteFrames = Math.round(secondsPerNote * SAMPLE_RATE)
  const bar = Buffer.alloc(noteFrames * chord.length * 4)
  for (let note = 0; note < chord.length; note++) {
    const semitones = chord[(note + offset) % chord.length] ?? 0
    const step = (2 * Math.PI * 110 * 2 ** (semitones / 12)) / SAMPLE_RATE
    for (let i = 0; i < noteFrames; i++) {
      const fade = Math.min(1, i / 400) * Math.exp((-3 * i) / noteFrames)
      const value = fade * (0.5 * Math.sin(step * i) + 0.25 * Math.sin(2 * step * i) + 0.1 * Math.sin(3 * step * i))
      const at = (note * noteFrames + i) * 4
      bar.writeInt16LE(Math.round(value * 26_000), at)
      bar.writeInt16LE(Math.round(value * (20_000 + 2_000 * note)), at + 2)
    }
  }
  const data = Math.round(seconds * SAMPLE_RATE) * 4
  const wav = Buffer.alloc(44 + data)
  wav.write('RIFF', 0)
  wav.writeUInt32LE(36 + data, 4)
  wav.write('WAVEfmt ', 8)
  wav.writeUInt32LE(16, 16)
  wav.writeUInt16LE(1, 20)
  wav.writeUInt16LE(2, 22)
  wav.writeUInt32LE(SAMPLE_RATE, 24)
  wav.writeUInt32LE(SAMPLE_RATE * 4, 28)
  wav.writeUInt16LE(4, 32)
  wav.writeUInt16LE(16, 34)
  wav.write('data', 36)
  wav.writeUInt32LE(data, 40)
  for (let at = 44; at < wav.length; at += bar.length) bar.copy(wav, at)
  return wav
}

/** A gradient with rings, as an 8-bit RGB PNG (ISO 15948). */
function makePng(width: number, height: number, from: number, to: number, variant: number): Uint8Array {
  const rows = Buffer.alloc((width * 3 + 1) * height)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const ring = 0.12 * Math.sin(Math.hypot(x - width / 2 + 60 * variant, y - height / 2) / (9 + 4 * variant))
      const mix = Math.min(1, Math.max(0, y / height + ring))
      for (let channel = 0; channel < 3; channel++) {
        const shift = 16 - 8 * channel
        rows[y * (width * 3 + 1) + 1 + x * 3 + channel] = Math.round(((from >> shift) & 255) * (1 - mix) + ((to >> shift) & 255) * mix)
      }
    }
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2, 0, 0, 0], 8)
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return Buffer.concat([signature, pngChunk('IHDR', header), pngChunk('IDAT', deflateSync(rows, { level: 1 })), pngChunk('IEND', Buffer.alloc(0))])
}

function pngChunk(type: string, data: Buffer): Buffer {
  const chunk = Buffer.alloc(12 + data.length)
  chunk.writeUInt32BE(data.length, 0)
  chunk.write(type, 4, 'latin1')
  data.copy(chunk, 8)
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length)
  return chunk
}

function makeCover(artist: string, title: string): string {
  const hue = [...title].reduce((sum, character) => sum + (character.codePointAt(0) ?? 0), 0) % 360
  return svg(
    `<rect width="400" height="400" fill="hsl(${hue} 60% 30%)"/><circle cx="280" cy="130" r="150" fill="hsl(${(hue + 40) % 360} 70% 55%)" opacity="0.7"/>` +
      `<text x="28" y="320" font-family="sans-serif" font-size="34" fill="white">${escapeXml(title)}</text>` +
      `<text x="28" y="360" font-family="sans-serif" font-size="20" fill="white" opacity="0.8">${escapeXml(artist)}</text>`,
  )
}

function svg(body: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" width="400" height="400">${body}</svg>\n`
}

function escapeXml(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

function text(body: string): Uint8Array {
  return Buffer.from(body)
}
