/** Our own line icons on a 24-unit grid, drawn with one stroke width; each is one path. */
export const ICONS = {
  peers: 'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M2.5 20a6.5 6.5 0 0 1 13 0M16 4.3a3.5 3.5 0 0 1 0 6.4M18 14.2a6.5 6.5 0 0 1 3.5 5.8',
  wish: 'M12 20S4.5 15.4 4.5 9.8A4.1 4.1 0 0 1 12 7.5a4.1 4.1 0 0 1 7.5 2.3C19.5 15.4 12 20 12 20Z',
  search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13M15.2 15.2 20.5 20.5',
  transfers: 'M8 4v14M8 18l-4-4M8 18l4-4M16 20V6M16 6l-4 4M16 6l4 4',
  shares: 'M3 7a2 2 0 0 1 2-2h4l2 2.5h8a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2ZM12 16v-5M9.5 13.2 12 10.8l2.5 2.4',
  settings: 'M4 7h9M17 7h3M15 9a2 2 0 1 0 0-4 2 2 0 0 0 0 4M4 17h3M11 17h9M9 19a2 2 0 1 0 0-4 2 2 0 0 0 0 4',
  bell: 'M6 17V11a6 6 0 0 1 12 0v6M4 17h16M10 20.5a2.2 2.2 0 0 0 4 0',
  copy: 'M9 9h9a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-7a2 2 0 0 1-2-2ZM15 6V5a2 2 0 0 0-2-2H6a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2h1',
  link: 'M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1',
  qr: 'M4 4h6v6H4ZM14 4h6v6h-6ZM4 14h6v6H4ZM14 14h2.5M20 14v2.5M14 17.5V20h2.5M20 20h-.5',
  renew: 'M20 12a8 8 0 1 1-2.5-5.8M20 3.5V7.5h-4',
  download: 'M12 4v11M12 15l-4.5-4.5M12 15l4.5-4.5M4.5 19.5h15',
  preview: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12M12 14.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6',
  open: 'M14 4h6v6M20 4l-9 9M18 14v4a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2h4',
  folder: 'M3 7a2 2 0 0 1 2-2h4l2 2.5h8a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2Z',
  file: 'M7 3h7l5 5v11a2 2 0 0 1-2 2H7a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2M14 3v5h5',
  audio: 'M9 18a2.5 2.5 0 1 1-2.5-2.5A2.5 2.5 0 0 1 9 18ZM9 18V6l11-2v12M20 16a2.5 2.5 0 1 1-2.5-2.5A2.5 2.5 0 0 1 20 16Z',
  video: 'M3 6.5A1.5 1.5 0 0 1 4.5 5h10A1.5 1.5 0 0 1 16 6.5v11a1.5 1.5 0 0 1-1.5 1.5h-10A1.5 1.5 0 0 1 3 17.5ZM16 10.5l5-3v9l-5-3',
  image: 'M5 4h14a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2M8.5 11a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6M3.5 18l5-5 3.5 3.5 3.5-4.5 5 5.5',
  chevron: 'M9.5 6l6 6-6 6',
  back: 'M14.5 6l-6 6 6 6',
  more: 'M5.5 12h.01M12 12h.01M18.5 12h.01',
  close: 'M6 6l12 12M18 6 6 18',
  check: 'M5 12.5 10 17.5 19.5 7',
  pause: 'M8.5 5v14M15.5 5v14',
  play: 'M7.5 4.5v15l12-7.5Z',
  grip: 'M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01',
  up: 'M12 20V5M12 5 6.5 10.5M12 5l5.5 5.5',
  down: 'M12 4v15M12 19l-5.5-5.5M12 19l5.5-5.5',
  top: 'M5 4h14M12 20V8.5M12 8.5 7 13.5M12 8.5l5 5',
  bottom: 'M5 20h14M12 4v11.5M12 15.5l-5-5M12 15.5l5-5',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  list: 'M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01',
  tiles: 'M4 4h6.5v6.5H4ZM13.5 4H20v6.5h-6.5ZM4 13.5h6.5V20H4ZM13.5 13.5H20V20h-6.5Z',
  retry: 'M4 12a8 8 0 1 0 2.5-5.8M4 3.5V7.5h4',
  warn: 'M12 4 2.8 19.5h18.4ZM12 10v4.5M12 17.2h.01',
  trash: 'M4.5 7h15M9.5 7V4.5h5V7M6.5 7l1 13h9l1-13M10.5 11v5.5M13.5 11v5.5',
  clock: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17M12 7.5V12l3 2',
  unplugged: 'M8.5 3v4M15.5 3v4M6 7h12v3.5a6 6 0 0 1-6 6 6 6 0 0 1-6-6ZM12 16.5V21',
  device: 'M4 5.5h16v10H4ZM2.5 19h19',
  terminal: 'M3 5h18v14H3ZM7 9.5l3 2.5-3 2.5M12.5 15h4',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8M12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1 1M17.4 17.4l1 1M18.4 5.6l-1 1M6.6 17.4l-1 1',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5',
  auto: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17M12 3.5v17M12 8h5.5M12 12h8M12 16h6',
} as const

export type IconName = keyof typeof ICONS

const KINDS: readonly (readonly [IconName, RegExp])[] = [
  ['audio', /\.(mp3|flac|ogg|opus|m4a|aac|wav|aiff?)$/i],
  ['video', /\.(mp4|mkv|webm|mov|avi|m4v|ogv)$/i],
  ['image', /\.(jpe?g|png|gif|webp|avif|tiff?|heic|nef|svg|bmp)$/i],
]

export function iconFor(name: string, isDirectory: boolean): IconName {
  if (isDirectory) return 'folder'
  return KINDS.find(([, pattern]) => pattern.test(name))?.[0] ?? 'file'
}
