import { CodedError, type ErrorCode } from '@harddrive-party/protocol'

/** Turns what the file system throws into coded errors with a sentence for people. Touches nothing. */

const CODES: Readonly<Record<string, { readonly code: ErrorCode; readonly text: string }>> = {
  ENOSPC: { code: 'disk-full', text: 'the disk is full' },
  EDQUOT: { code: 'disk-full', text: 'the disk quota is used up' },
  ENAMETOOLONG: { code: 'bad-path', text: 'the name is too long for this file system' },
  EILSEQ: { code: 'bad-path', text: 'this file system does not allow such a name' },
  ELOOP: { code: 'bad-path', text: 'a symbolic link is in the way' },
  ENOTDIR: { code: 'bad-path', text: 'a file is where a folder should be' },
  EFBIG: { code: 'disk-error', text: 'the file is too large for this file system' },
  EROFS: { code: 'disk-error', text: 'the disk is read-only' },
  EACCES: { code: 'disk-error', text: 'writing is not allowed' },
  EPERM: { code: 'disk-error', text: 'writing is not allowed' },
  EMFILE: { code: 'busy', text: 'too many files are open' },
  ENFILE: { code: 'busy', text: 'too many files are open' },
}

/** The system's error code, for example `ENOENT`, or undefined. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}

/** @param where the path it is about, for the message @returns the error itself when it is coded already */
export function toDiskError(cause: unknown, where: string): CodedError {
  if (cause instanceof CodedError) return cause
  const system = systemCode(cause)
  const known = system === undefined ? undefined : CODES[system]
  if (known !== undefined) return new CodedError(known.code, `${known.text}: ${where}`, { cause })
  return new CodedError('disk-error', `cannot write ${where}${system === undefined ? '' : ` (${system})`}`, { cause })
}
