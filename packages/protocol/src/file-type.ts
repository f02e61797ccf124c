/** Which kind of thing a file is, by the end of its name. A hint for filters and icons, never a reason to trust or to open anything. */
export type FileType = 'audio' | 'video' | 'image' | 'document'

export const FILE_TYPES = ['audio', 'video', 'image', 'document'] as const satisfies readonly FileType[]

const EXTENSIONS: Record<FileType, string> = {
  audio: 'aac ac3 aif aiff alac ape au dsf flac m4a m4b mid midi mka mp2 mp3 mpc oga ogg opus ra tta wav weba wma wv',
  video: '3gp avi divx flv m2ts m4v mkv mov mp4 mpeg mpg mts ogm ogv rmvb ts vob webm wmv',
  image: 'avif bmp cr2 dng gif heic heif ico jpeg jpg jxl nef png psd raw svg tif tiff webp',
  document: 'azw azw3 csv doc docx epub htm html md mobi odp ods odt pdf ppt pptx ps rtf tex txt xls xlsx',
}

const TYPES = new Map(FILE_TYPES.flatMap((type) => EXTENSIONS[type].split(' ').map((extension) => [extension, type] as const)))

/** The part after the last dot in lower case; empty where there is none, or nothing before it (`.profile`). */
export function extensionOf(name: string): string {
  const dot = name.lastIndexOf('.')
  return dot > 0 ? name.slice(dot + 1).toLowerCase() : ''
}

export function fileTypeOf(name: string): FileType | undefined {
  return TYPES.get(extensionOf(name))
}
