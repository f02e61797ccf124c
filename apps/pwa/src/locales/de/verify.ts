import type { Messages } from '../messages.ts'

export const verify: Messages['verify'] = {
  action: 'Prüfen',
  actionFor: '{name} mit der Quelle vergleichen',
  title: '{name}, verglichen mit der Quelle',
  going: '{done} von {total} · {files}',
  files: '{n} Datei | {n} Dateien',
  same: 'Alles ist wie bei der Quelle: {files}, {size}.',
  differs: 'Nicht dasselbe wie bei der Quelle.',
  stopped: 'Vor dem Ende angehalten.',
  failed: 'Der Vergleich ging nicht: {reason}',
  countSame: '{n} gleich | {n} gleich',
  different: '{n} verschieden | {n} verschieden',
  missing: '{n} nur bei der Quelle | {n} nur bei der Quelle',
  extra: '{n} nur hier | {n} nur hier',
  unreadable: '{n} nicht lesbar | {n} nicht lesbar',
  stop: 'Vergleich anhalten',
  more: 'Gezeigt werden die ersten {n}.',
}
