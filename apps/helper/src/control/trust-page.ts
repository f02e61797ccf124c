/** The page that leads a person through trusting the helper's authority on a phone. Static: no script, no data but the fingerprint, open to anybody. */
import { createHash } from 'node:crypto'

export interface TrustFacts {
  readonly name: string
  /** SHA-256 with colons. */
  readonly fingerprint: string
}

export const TRUST_PATH = '/trust'
export const AUTHORITY_PATH = '/trust/harddrive-party.crt'

const STYLE = `
:root { color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif; }
body { max-width: 34rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; background: light-dark(#f4f6f3, #0f1413); color: light-dark(#16201c, #e6ece9); }
h1 { font-size: 1.6rem; line-height: 1.2; }
h2 { margin-top: 2.2rem; font-size: 1.2rem; }
ol { padding-inline-start: 1.3rem; }
li { margin: .5rem 0; }
code { display: block; padding: .8rem 1rem; border-radius: 12px; background: light-dark(#e6ebe7, #1b2321); font: 15px/1.7 ui-monospace, monospace; overflow-wrap: anywhere; }
.button { display: inline-block; padding: .8rem 1.3rem; border-radius: 12px; background: light-dark(#0b6b58, #57c7ac); color: light-dark(#fff, #06231c); font-weight: 600; text-decoration: none; }
.button:focus-visible { outline: 3px solid light-dark(#16201c, #e6ece9); outline-offset: 3px; }
.soft { color: light-dark(#51605a, #9fb0a9); }
`

/** Of the style above and nothing else. */
export const TRUST_POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

interface Words {
  readonly title: string
  readonly lead: string
  readonly compareTitle: string
  readonly compare: string
  readonly getTitle: string
  readonly get: string
  readonly android: readonly string[]
  readonly ios: readonly string[]
  readonly enterTitle: string
  readonly enter: readonly string[]
  readonly scope: string
}

const WORDS: Readonly<Record<'en' | 'de', Words>> = {
  en: {
    title: 'Trust your helper on this phone',
    lead: 'Your helper proves itself with a certificate of its own. Once this phone trusts it, the connection is private, the warning is gone, and the app can be installed.',
    compareTitle: '1. Compare',
    compare: 'This must be the same as in the app on your computer (Settings, Phones), from the first sign to the last. If it is not, somebody is in between: stop here.',
    getTitle: '2. Trust',
    get: 'Get the certificate',
    android: [
      'Get the certificate with the button above.',
      'Open Settings, search for “CA certificate”, and choose it (Security → More → Encryption & credentials → Install a certificate).',
      'Confirm “Install anyway” and pick the file harddrive-party.crt from your downloads.',
    ],
    ios: [
      'Open this page in Safari, get the certificate with the button above, and allow the download of the profile.',
      'Open Settings → Profile downloaded → Install. Under “More details” the fingerprint can be compared once more.',
      'Open Settings → General → About → Certificate Trust Settings and switch it on for harddrive-party.',
    ],
    enterTitle: '3. Let this phone in',
    enter: ['Close this page and scan the second code that the app on your computer shows.', 'Then install the app: “Install app” or “Add to home screen” in the menu of your browser.'],
    scope: 'What you trust can speak for addresses of local networks only, never for websites.',
  },
  de: {
    title: 'Vertraue deinem Helfer auf diesem Telefon',
    lead: 'Dein Helfer weist sich mit einem eigenen Zertifikat aus. Sobald dieses Telefon ihm vertraut, ist die Verbindung geschützt, die Warnung verschwindet, und die App lässt sich installieren.',
    compareTitle: '1. Vergleichen',
    compare: 'Das muss vom ersten bis zum letzten Zeichen dasselbe sein wie in der App auf deinem Rechner (Einstellungen, Telefone). Wenn nicht, ist jemand dazwischen: Höre hier auf.',
    getTitle: '2. Vertrauen',
    get: 'Zertifikat holen',
    android: [
      'Hole das Zertifikat mit dem Knopf oben.',
      'Öffne die Einstellungen, suche nach „CA-Zertifikat“ und wähle es (Sicherheit → Weitere → Verschlüsselung & Anmeldedaten → Zertifikat installieren).',
      'Bestätige „Trotzdem installieren“ und wähle harddrive-party.crt aus deinen Downloads.',
    ],
    ios: [
      'Öffne diese Seite in Safari, hole das Zertifikat mit dem Knopf oben und erlaube das Laden des Profils.',
      'Öffne Einstellungen → Profil geladen → Installieren. Unter „Mehr Details“ lässt sich der Fingerabdruck noch einmal vergleichen.',
      'Öffne Einstellungen → Allgemein → Info → Zertifikatsvertrauenseinstellungen und schalte harddrive-party ein.',
    ],
    enterTitle: '3. Dieses Telefon einlassen',
    enter: ['Schließe diese Seite und scanne den zweiten Code, den die App auf deinem Rechner zeigt.', 'Installiere dann die App: „App installieren“ oder „Zum Home-Bildschirm“ im Menü deines Browsers.'],
    scope: 'Was du hier einrichtest, gilt nur für Adressen in lokalen Netzen, nie für Webseiten.',
  },
}

/** @param languages as in `Accept-Language` */
export function trustPage({ name, fingerprint }: TrustFacts, languages: string): string {
  const language = /^\s*de\b/i.test(languages) ? 'de' : 'en'
  const words = WORDS[language]
  const list = (steps: readonly string[]) => `<ol>${steps.map((step) => `<li>${escape(step)}</li>`).join('')}</ol>`
  return `<!doctype html>
<html lang="${language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escape(words.title)}</title><style>${STYLE}</style></head>
<body><main>
<h1>${escape(words.title)}</h1>
<p>${escape(words.lead)}</p>
<h2>${escape(words.compareTitle)}</h2>
<p>${escape(words.compare)}</p>
<p><b>${escape(name)}</b>, SHA-256:</p>
<code>${escape(fingerprint)}</code>
<h2>${escape(words.getTitle)}</h2>
<p><a class="button" href="${AUTHORITY_PATH}">${escape(words.get)}</a></p>
<h3>Android</h3>${list(words.android)}
<h3>iPhone, iPad</h3>${list(words.ios)}
<h2>${escape(words.enterTitle)}</h2>${list(words.enter)}
<p class="soft">${escape(words.scope)}</p>
</main></body></html>
`
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
