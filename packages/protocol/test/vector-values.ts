/** Turns the values of a vector file back into ours: `{"hex": …}` is a byte string. */
export function fromVector(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromVector)
  if (typeof value !== 'object' || value === null) return value
  if ('hex' in value) return bytes(value.hex as string)
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fromVector(inner)]))
}

export function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'))
}

export function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex')
}
