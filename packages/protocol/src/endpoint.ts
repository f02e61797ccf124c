/** An IP address and a UDP or TCP port. `host` is a literal in canonical text form, IPv6 without brackets; never a name. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** `192.0.2.1:4433` or `[2001:db8::1]:4433`. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
