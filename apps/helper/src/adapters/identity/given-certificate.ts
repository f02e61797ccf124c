/** Reads the TLS certificate and key that a person brings, and sees when they change. Decides nothing about who is served. */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { CodedError } from '@harddrive-party/protocol'
import type { ServerCertificate } from './local-authority.ts'

export interface CertificateFiles {
  readonly certificate: string
  readonly key: string
}

/** @throws CodedError `bad-request`: in words that name the file */
export async function readCertificate(files: CertificateFiles): Promise<ServerCertificate> {
  const [certificatePem, keyPem] = await Promise.all([read(files.certificate), read(files.key)])
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(certificatePem)
  } catch (cause) {
    throw new CodedError('bad-request', `${files.certificate} is not a certificate in PEM`, { cause })
  }
  let fits: boolean
  try {
    fits = certificate.checkPrivateKey(createPrivateKey(keyPem))
  } catch (cause) {
    throw new CodedError('bad-request', `${files.key} is not a private key in PEM, or it is encrypted`, { cause })
  }
  if (!fits) throw new CodedError('bad-request', `the key in ${files.key} is not the key of the certificate in ${files.certificate}`)
  const alternatives = parseAlternatives(certificate.subjectAltName ?? '')
  if (alternatives.names.length + alternatives.addresses.length === 0) throw new CodedError('bad-request', `the certificate in ${files.certificate} names no host (it has no subject alternative name)`)
  return { certificatePem, keyPem, ...alternatives, expiresAt: Date.parse(certificate.validTo) }
}

/** Another text once either file was written again. Never rejects. */
export async function versionOf(files: CertificateFiles): Promise<string> {
  const facts = await Promise.all([files.certificate, files.key].map((file) => stat(file).then(({ mtimeMs, size, ino }) => `${mtimeMs} ${size} ${ino}`, () => 'gone')))
  return facts.join(' ')
}

/** @param text as Node writes it: `DNS:nas.example, DNS:*.example.org, IP Address:192.168.1.5` */
function parseAlternatives(text: string): { names: string[]; addresses: string[] } {
  const names: string[] = []
  const addresses: string[] = []
  for (const part of text.split(', ')) {
    const name = /^DNS:((?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)$/.exec(part)?.[1]
    const address = /^IP Address:([0-9A-Fa-f.:]+)$/.exec(part)?.[1]
    if (name !== undefined) names.push(name.toLowerCase())
    if (address !== undefined) addresses.push(new URL(`https://${address.includes(':') ? `[${address}]` : address}`).hostname.replace(/^\[|\]$/g, ''))
  }
  return { names, addresses }
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new CodedError('bad-request', `${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}
