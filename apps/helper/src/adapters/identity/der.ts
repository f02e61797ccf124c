/** Writes DER, the bytes that X.509 certificates are made of. Knows a dozen types and no certificate. */

export const sequence = (...parts: readonly Uint8Array[]): Uint8Array => tlv(0x30, ...parts)
export const set = (...parts: readonly Uint8Array[]): Uint8Array => tlv(0x31, ...parts)
export const octets = (...parts: readonly Uint8Array[]): Uint8Array => tlv(0x04, ...parts)
export const bits = (content: Uint8Array, unused = 0): Uint8Array => tlv(0x03, Uint8Array.of(unused), content)
export const utf8 = (text: string): Uint8Array => tlv(0x0c, Buffer.from(text, 'utf8'))
export const yes: Uint8Array = Uint8Array.of(0x01, 1, 0xff)

/** @param content big-endian and positive: the first bit must be 0 */
export const integer = (content: Uint8Array): Uint8Array => tlv(0x02, content)

/** @param text such as `2.5.29.19` */
export function oid(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const bytes = [first * 40 + second, ...rest].flatMap((part) => {
    const groups = [part & 0x7f]
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80)
    return groups
  })
  return tlv(0x06, Uint8Array.from(bytes))
}

/** RFC 5280: two digits of the year until 2049, four from then on. */
export function time(at: number): Uint8Array {
  const text = new Date(at).toISOString().replace(/[-:T]|\.\d+/g, '')
  return text < '2050' ? tlv(0x17, Buffer.from(text.slice(2))) : tlv(0x18, Buffer.from(text))
}

/** One element; contents up to 65535 bytes. */
export function tlv(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts)
  const { length } = content
  if (length > 0xffff) throw new TypeError('this is longer than certificates are')
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff]
  const element = new Uint8Array(head.length + length)
  element.set(head)
  element.set(content, head.length)
  return element
}

export function pem(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der).toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
