/** How names are folded for searching, so that a peer that is asked and one that merges answers see the same word. Decides no order and no match. */

// oxlint-disable-next-line no-control-regex -- the whole of ASCII is meant
const ASCII = /^[\u0000-\u007f]*$/
/** Combining diacritics, and the points of Hebrew and Arabic, which are optional in writing. */
// oxlint-disable-next-line no-misleading-character-class -- single marks are meant
const ACCENTS = /[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]/g

/**
 * A name as searches see it: without regard to case, accents and compatibility forms (`Ærø` stays two letters, `Café` is `cafe`, `ﬁ` is `fi`).
 * Marks of scripts in which they carry the vowel or consonant (Devanagari, kana) are kept, since dropping them would merge different words.
 */
export function foldName(name: string): string {
  if (ASCII.test(name)) return name.toLowerCase()
  // Upper case, so that ß meets SS, and lower case before it, so that ẞ does too; the marks last, since lowering İ makes a new one. A final sigma is a sigma.
  return name.normalize('NFKD').toLowerCase().toUpperCase().toLowerCase().normalize('NFKD').replace(ACCENTS, '').replaceAll('ς', 'σ')
}
