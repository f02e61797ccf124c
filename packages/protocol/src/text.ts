/** Measures and cleans text that crosses a boundary. Decides nothing about what the text means. */

/** Bytes of `text` in UTF-8; a lone surrogate counts as the three bytes of the replacement character. */
export function utf8Length(text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    if (unit < 0x800) bytes += 1
    else if (unit >= 0xd800 && unit <= 0xdbff && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      // Two units, four bytes.
      bytes += 2
      i += 1
    } else bytes += 2
  }
  return bytes
}

/** Control characters, line separators and everything that changes the direction of text: none may reach a terminal or a page. */
// oxlint-disable-next-line no-control-regex -- finding them is the point
const UNSHOWABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f]+/g
const LONE_SURROGATES = /\p{Surrogate}/gu

/** Text of a stranger made fit to be shown: whatever steers a terminal becomes one space, and it is cut after `maxBytes` of UTF-8. */
export function cleanText(text: string, maxBytes: number): string {
  // Cut first, so that a long text costs no more than a short one.
  const cut = cutToBytes(text.slice(0, maxBytes), maxBytes)
  return cutToBytes(wellFormed(cut).replace(UNSHOWABLE, ' ').trim(), maxBytes)
}

/** The same text with every lone surrogate replaced, so that it has a UTF-8 form. */
export function wellFormed(text: string): string {
  return text.replace(LONE_SURROGATES, '\ufffd')
}

/** The longest beginning of `text` that takes at most `maxBytes` in UTF-8 and does not split a character. */
export function cutToBytes(text: string, maxBytes: number): string {
  if (utf8Length(text) <= maxBytes) return text
  let bytes = 0
  let end = 0
  for (const character of text) {
    bytes += utf8Length(character)
    if (bytes > maxBytes) break
    end += character.length
  }
  return text.slice(0, end)
}
