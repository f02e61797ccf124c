import type { Messages } from '../messages.ts'

export const phones: Messages['phones'] = {
  roles: { view: 'Ansehen', control: 'Benutzen', admin: 'Alles' },
  rolesAbout: {
    view: 'sieht sich um und öffnet Dateien, sonst nichts',
    control: 'lädt auch herunter und hat mit Peers zu tun; ändert keine Freigaben, Geräte oder Einstellungen',
    admin: 'ändert auch Freigaben, Geräte und Einstellungen',
  },
  gate: {
    view: 'Dieses Gerät darf nur ansehen. Wer ein Gerät hat, das alles darf, kann das unter Einstellungen, Geräte ändern.',
    control: 'Dieses Gerät darf das nicht ändern. Wer ein Gerät hat, das alles darf, kann es unter Einstellungen, Geräte erlauben.',
  },
  lan: {
    title: 'Telefone',
    label: 'Telefone in meinem Netz einlassen',
    hint: 'Bietet diese App über HTTPS in deinem lokalen Netz an. Jedes Telefon muss erst gekoppelt werden.',
    at: 'Zu finden unter',
    fingerprint: 'Fingerabdruck von {name}',
    compare: 'Telefone zeigen ihn (als SHA-256), während sie diesem Helfer zu vertrauen lernen: Dort muss er derselbe sein.',
    add: 'Telefon hinzufügen',
    failed: 'Telefone kommen nicht herein: {reason}',
  },
  pair: {
    title: 'Telefon hinzufügen',
    role: 'Was darf es?',
    make: 'Codes zeigen',
    trust: '1. Vertrauen, einmal für jedes Telefon',
    trustHint: 'Scanne das mit der Kamera. Das Telefon kennt deinen Helfer noch nicht und warnt: Gehe weiter und folge der Seite. Der Fingerabdruck dort muss dieser sein:',
    trustLabel: 'QR-Code, der zu der Seite über das Vertrauen zu diesem Helfer führt',
    enter: '2. Einlassen',
    enterOnly: 'Einlassen',
    enterHint: 'Scanne dann das. Es gilt einmal, bis {time}.',
    enterLabel: 'QR-Code, der ein Telefon koppelt',
    copy: 'Diesen Link kopieren',
  },
  device: {
    change: '{name} ändern',
    title: 'Dieses Gerät ändern',
    name: 'Name',
    role: 'Darf',
    saved: '{name} ist geändert.',
    last: 'Kein anderer Browser darf alles. Danach kann nur „hdp pair“ auf dem Rechner des Helfers wieder Freigaben, Geräte und Einstellungen ändern.',
    self: 'Das ist der Browser, den du gerade benutzt.',
  },
}
