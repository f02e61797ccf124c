import { sha256 } from '@noble/hashes/sha2.js'
import { adjectives, animals } from 'unique-names-generator'
import { asciiBytes, concatBytes } from './bytes.ts'
import { type PeerId, peerIdToKey } from './peer-id.ts'

/** Gives a key a name that people can say. A label and nothing more: two keys can have the same one, and a given one can be forged in minutes. */

const LABEL = asciiBytes('hdp/1 name')
/** Words that can be read out and typed, and names that fit into a list. */
const WORD = /^[a-z]{3,9}$/

/**
 * Left out: what nobody wants to be called (bodies, faiths, parties, peoples, illness, insults, harm) and pests.
 * Written as one text per kind, so that the lists can be read at a glance.
 */
const UNWANTED = new Set(
  `abstract afraid alleged angry annoyed annoying anxious appalling armed arrogant artificial ashamed awful awkward back bad bare bitter blank bleeding
  blind blonde bloody blushing bored boring bottom broken capitalist chief christian chubby clumsy coloured colored colonial communist condemned
  confused conscious corporate costly creepy criminal critical crooked crude cruel damaged dangerous dead deaf deafening defeated defiant depressed desperate
  dirty disabled disgusted disturbed dizzy dreadful driving drunk dull dutch dying electoral embarrassed empty envious ethnic evil exposed extreme faint fat fatal
  fellow female feminist few fierce filthy foolish fragile frail frantic frightened furious gastric gay greasy grieving grim gross grotesque
  grubby grumpy guilty handsome harsh helpless homeless homely hon horrible hostile hurt illegal ill inc injured irrelevant itchy jealous jittery juicy
  kinky lazy liable limited lonely loose lost ltd mad male married marxist mass massive mean medical melted mental minor miserable missing moaning mushy
  mute naked nasty national naughty naval negative nervous nosy nuclear nursing nutty obedient obnoxious odd oral orthodox painful pale panicky passive petite
  political poor pregnant prickly psychiatric puny queer racial ratty raw rear religious repulsive retired ridiculous rotten rude ruling sad scared scary scrawny selfish
  senior severe sexual shaggy shaky shallow shocked sick silly skinny slimy slippery smoggy socialist sore sorry soviet squealing stale stiff stingy straight
  stuck stupid submissive suspicious tasteless teenage tense terrible testy thick thirsty tired tight tortured toxic tragic troubled ugly ugliest unable unaware
  unfair unhappy unknown unlikely unpleasant unsightly upset uptight useless vague vicious violent voiceless vulnerable wasteful weak wealthy weary weird
  wet wicked worried worrying wrong yucky yeasty zealous
  ape ass baboon bedbug boa boar bug canid canidae cattle centipede cock cockroach cow dodo felidae flea galliform hookworm leech louse maggot mammal mite mole monkey
  mosquito parasite pig rat roundworm rodent skunk slug snake snipe tick termite vulture wasp worm xerinae bovid earwig planarian booby`.split(/\s+/),
)

const ADJECTIVES = adjectives.filter(isGood)
const ANIMALS = animals.filter(isGood)

/** @returns two words in title case, `Brave Otter`; always the same for the same key */
export function peerName(peerId: PeerId): string {
  const hash = sha256(concatBytes(LABEL, peerIdToKey(peerId)))
  const view = new DataView(hash.buffer, hash.byteOffset)
  return `${pick(ADJECTIVES, view.getUint32(0))} ${pick(ANIMALS, view.getUint32(4))}`
}

/** The words in use, for the document and its tests: changing a list renames everybody. */
export const NAME_WORDS = { adjectives: ADJECTIVES, animals: ANIMALS } as const

function pick(words: readonly string[], number: number): string {
  const word = words[number % words.length] ?? ''
  return word.charAt(0).toUpperCase() + word.slice(1)
}

function isGood(word: string): boolean {
  return WORD.test(word) && !UNWANTED.has(word)
}
