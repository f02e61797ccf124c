/** Draws the app's icons as PNG files, with nothing but zlib: `node scripts/make-icons.mjs`. The drawing is the one of AppLogo.vue. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { deflateSync } from 'node:zlib'

const OUT = new URL('../public/', import.meta.url)
const PINE = [11, 107, 88]
const FOAM = [233, 255, 248]
const SPARK = [245, 181, 61]
/** Samples per pixel and side: smooth edges. */
const SAMPLES = 4

/** Colour of a point of the 48-unit drawing, or null outside. */
function colourAt(x, y, corner) {
  if (!insideCase(x, y, corner)) return null
  if (Math.hypot(x - 13.6, y - 12.8) <= 3.4) return SPARK
  const distance = Math.hypot(x - 24, y - 24)
  if (distance <= 2) return FOAM
  const turn = (Math.atan2(y - 24, x - 24) * 180) / Math.PI
  if (onTrack(x, y, distance, turn, 14, -90, 199) || onTrack(x, y, distance, turn, 6.5, -90, 203)) return FOAM
  return PINE
}

function insideCase(x, y, corner) {
  if (x < 0 || y < 0 || x > 48 || y > 48) return false
  const dx = Math.max(corner - x, x - (48 - corner), 0)
  const dy = Math.max(corner - y, y - (48 - corner), 0)
  return Math.hypot(dx, dy) <= corner || corner === 0
}

/** A stroke 3.2 wide along a circle from one angle clockwise to another, with round ends. */
function onTrack(x, y, distance, turn, radius, from, to) {
  const passed = (turn - from + 720) % 360
  if (passed <= to - from) return Math.abs(distance - radius) <= 1.6
  return [from, to].some((end) => {
    const angle = (end * Math.PI) / 180
    return Math.hypot(x - 24 - radius * Math.cos(angle), y - 24 - radius * Math.sin(angle)) <= 1.6
  })
}

/** @param inset units of case around the drawing, for icons that systems cut into shapes */
function draw(size, corner, inset) {
  const pixels = Buffer.alloc(size * (size * 4 + 1))
  const unit = (48 + 2 * inset) / size
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const sum = [0, 0, 0]
      let hits = 0
      for (let sample = 0; sample < SAMPLES * SAMPLES; sample++) {
        const x = (column + ((sample % SAMPLES) + 0.5) / SAMPLES) * unit - inset
        const y = (row + (Math.floor(sample / SAMPLES) + 0.5) / SAMPLES) * unit - inset
        const colour = colourAt(x, y, corner) ?? (inset > 0 ? PINE : null)
        if (colour === null) continue
        hits += 1
        for (let channel = 0; channel < 3; channel++) sum[channel] += colour[channel]
      }
      const at = row * (size * 4 + 1) + 1 + column * 4
      for (let channel = 0; channel < 3; channel++) pixels[at + channel] = hits === 0 ? 0 : Math.round(sum[channel] / hits)
      pixels[at + 3] = Math.round((hits / (SAMPLES * SAMPLES)) * 255)
    }
  }
  return png(size, pixels)
}

function png(size, pixels) {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(size, 0)
  header.writeUInt32BE(size, 4)
  header.set([8, 6, 0, 0, 0], 8)
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', header), chunk('IDAT', deflateSync(pixels, { level: 9 })), chunk('IEND', Buffer.alloc(0))])
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}

/** CRC-32 as PNG wants it (RFC 2083, appendix). */
function crc32(bytes) {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}

mkdirSync(OUT, { recursive: true })
writeFileSync(new URL('icon-192.png', OUT), draw(192, 14, 0))
writeFileSync(new URL('icon-512.png', OUT), draw(512, 14, 0))
writeFileSync(new URL('icon-maskable-512.png', OUT), draw(512, 0, 12))
