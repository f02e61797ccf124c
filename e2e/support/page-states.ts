import type { Page } from '@playwright/test'

/** Every page and dialog of the app as the mock can show it: for whatever has to hold on all of them. */

/** A name in English and in German, as it is found by. */
type Words = readonly [en: string | RegExp, de: string | RegExp]

export interface PageState {
  readonly what: string
  /** One of the mock's; the usual one where none is said. */
  readonly world?: string
  readonly role?: string
  readonly path: string
  /** From the page to what is to be looked at. @param say chooses the language */
  readonly open?: (page: Page, say: (words: Words) => string | RegExp) => Promise<unknown>
  /** Whether a dialog is open then, which Escape closes. */
  readonly isDialog?: true
}

type Open = NonNullable<PageState['open']>

const press = (words: Words): Open => (page, say) => page.getByRole('button', { name: say(words) }).first().click()
const choose = (words: Words): Open => (page, say) => page.getByRole('menuitem', { name: say(words) }).click()
const all = (...steps: readonly Open[]): Open => async (page, say) => {
  for (const step of steps) await step(page, say)
}
const appears = (selector: string): Open => (page) => page.locator(selector).first().waitFor()
const MENU: Words = [/^More for .*Amber Otter/, /^Mehr zu .*Amber Otter/]
const browse: Open = (page) => page.locator('a.peer-browse').first().click()
const unfold = (...names: readonly string[]): Open => async (page) => {
  for (const name of names) await page.getByRole('treeitem', { name, exact: true }).click()
}
const dialog = (what: string, path: string, open: Open, world?: string): PageState => ({ what, path, open, isDialog: true, ...(world === undefined ? {} : { world }) })

/** Those of one world one after the other: the page is loaded for each world once. */
export const PAGE_STATES: readonly PageState[] = [
  { what: 'peers', path: '/peers' },
  { what: 'a code from a link', path: '/add/web+hdp:not-a-code' },
  dialog('the code as a picture', '/peers', press(['Show QR', 'QR zeigen'])),
  dialog('a new code', '/peers', press(['Renew code', 'Code erneuern'])),
  { what: 'the menu of a peer', path: '/peers', open: press(MENU) },
  dialog('limits of a peer', '/peers', all(press(MENU), choose(['Limits and priority', 'Grenzen und Vorrang']))),
  dialog('rules for offers', '/peers', all(press(MENU), choose(['Offers', 'Angebote']))),
  dialog('sending', '/peers', press([/^Send…/, /^Senden …/])),
  dialog('members of a group', '/peers', press(['Change members of', /^Mitglieder von .* ändern/])),
  dialog('removing a group', '/peers', press(['Remove Family', /^Family entfernen/])),
  { what: 'folders of a peer', path: '/peers', open: all(browse, unfold('Music', 'Lena Okafor', 'Slow Machines (2023)'), appears('[role="treeitem"][aria-level="4"]')) },
  dialog('what a download would fetch', '/peers', all(browse, press(['What downloading Music', /Music/]))),
  { what: 'tiles', path: '/peers', open: all(browse, press(['Grid', 'Kacheln'])) },
  dialog('text in the viewer', '/peers', all(browse, press(['List', 'Liste']), unfold('Films', 'Super 8 transfers', 'Notes.txt'), appears('.viewer-text'))),
  dialog('an image in the viewer', '/peers', all(browse, unfold('Photos', '2025 Azores', 'IMG_01.jpg'), appears('.viewer'))),
  dialog('sound in the viewer', '/peers', all(browse, unfold('Music', 'Mixtape for the long drive.mp3'), appears('.viewer'))),
  { what: 'search', path: '/search' },
  { what: 'what was found', path: '/search?q=e', open: appears('.results-row') },
  { what: 'nothing found', path: '/search?q=there+is+nothing+like+this' },
  { what: 'wishes', path: '/wishes' },
  { what: 'transfers', path: '/transfers', open: appears('.transfer') },
  { what: 'files of a transfer', path: '/transfers', open: press(['Files of', 'Dateien von']) },
  { what: 'the menu of a transfer', path: '/transfers', open: all(appears('.transfer'), (page) => page.locator('.transfer .menu button').first().click()) },
  { what: 'shares', path: '/shares' },
  dialog('folders to share', '/shares', press(['Choose folder', 'Ordner wählen'])),
  dialog('who sees a share', '/shares', press(['Choose who sees it', 'Wählen, wer es sieht'])),
  { what: 'own shares', path: '/shares/browse' },
  { what: 'nothing to send', path: '/send' },
  { what: 'activity', path: '/activity' },
  { what: 'settings', path: '/settings' },
  { what: 'limits at some hours', path: '/settings', open: press(['Add hours', 'Stunden hinzufügen']) },
  dialog('a device', '/settings', press([/^Change /, / ändern$/])),
  dialog('revoking a device', '/settings', press([/^Revoke .*Android/, /^Entziehen .*Android/])),
  dialog('letting a phone in', '/settings', all((page, say) => page.getByRole('switch', { name: say(['Let phones on my network in', 'Telefone in meinem Netz einlassen']) }).check(), press(['Add a phone', 'Telefon hinzufügen']), press(['Show the codes', 'Codes zeigen']), appears('.phone-step'))),
  { what: 'connection', path: '/connection' },
  { what: 'the menu of helpers', path: '/peers', open: press([/, my helpers/, /, meine Helfer/]) },
  dialog('my helpers', '/peers', all(press([/, my helpers/, /, meine Helfer/]), choose(['My helpers', 'Meine Helfer']))),
  { what: 'peers for who may only look', path: '/peers', role: 'view' },
  { what: 'settings for who may only look', path: '/settings', role: 'view' },
  { what: 'nobody there', world: 'empty', path: '/peers' },
  { what: 'no wishes', world: 'empty', path: '/wishes' },
  { what: 'no transfers', world: 'empty', path: '/transfers' },
  { what: 'no shares', world: 'empty', path: '/shares' },
  { what: 'nothing has happened', world: 'empty', path: '/activity' },
  dialog('an offer', '/peers', appears('#offer-answer'), 'offers'),
  { what: 'sent and offered', world: 'offers', path: '/peers' },
  { what: 'a network that makes it hard', world: 'strict', path: '/connection' },
  { what: 'a peer that does not answer', world: 'errory', path: '/peers', open: all(browse, appears('.tree-problem, [role="alert"]')) },
  { what: 'pairing', world: 'unpaired', path: '/peers' },
  { what: 'peers without a helper', world: 'down', path: '/peers' },
  { what: 'wishes without a helper', world: 'down', path: '/wishes' },
  { what: 'settings without a helper', world: 'down', path: '/settings' },
]
