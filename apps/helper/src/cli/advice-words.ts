/** The English sentences for what the helper found: advice, notices of transfers, findings of comparisons. Pure text; the app has its own words. */
import type { Advice, PortWay, TransferNotice, VerifyDetail } from '@harddrive-party/protocol/control'

type AdviceOf<C extends Advice['code']> = Extract<Advice, { readonly code: C }>['values']

const ADVICE: { readonly [C in Advice['code']]: string | ((values: AdviceOf<C>) => string) } = {
  'no-engine': 'This computer has no working QUIC library, so nobody can be reached. A computer with Linux, macOS or Windows on x64 or arm64 is needed.',
  'network-restarting': 'The network part of the helper is being started again. Look once more in a few seconds.',
  'loopback-only': 'This helper reaches, and is reached by, helpers on this computer only: it was started with --loopback-only.',
  'no-network': 'This computer is on no network. Connect it to Wi-Fi or a cable; the helper goes on by itself.',
  'no-stun': 'No server is asked for your public address (--no-stun), so only people on your own network can find you. Start without it to be reached from elsewhere.',
  'udp-blocked': 'No server on the internet answers: either there is no internet here, or this network blocks UDP. People on your own network can still be reached. If other things work, try another network, for example a phone\'s hotspot, or ask whoever runs this one to allow UDP.',
  'second-router': 'Your router opened a port, but there is a second router in front of it, often the provider\'s. People in friendly networks can still be reached; for the others set one of the two routers to bridge mode, ask the provider for a public address, or use IPv6.',
  'router-random': 'Your router gives every connection another port, at random. You reach people in friendly networks, but not others like you.',
  'router-strict': 'Your router gives every connection another port. Most people can be reached, some only after a few seconds.',
  'topics-local': 'No meeting server is set, so topics find people on your own network only.',
  'topics-nobody': 'No meeting server is set and the local network is not searched, so topics find nobody.',
  'brokers-down': ({ count }) => `${count === 1 ? 'The meeting server cannot be reached' : 'None of the meeting servers can be reached'}, so topics find people on your own network only.`,
  'open-port': ({ ways, port }) => `What helps: ${ways.map((way) => PORT_WAYS[way](port)).join(', or ')}.`,
  'you-blocked': 'You have blocked them. Unblock them to connect.',
  'you-left': 'You disconnected from them. Choose "Reconnect" to connect again.',
  'they-decide': 'They are there, and have to accept you first. Ask them to look at their app.',
  'they-ask': 'They ask to connect. Accept or decline them.',
  'they-are-near': 'They are on your network. Choose "Connect"; they are asked whether they accept you.',
  'wrong-identity': 'Somebody else answers at the address that is known of them. Ask them for a fresh code.',
  'turned-away': 'They are there, but turned you away: their code was renewed, or they removed you. Ask them for a fresh code.',
  'they-are-busy': 'They are there, but have too many connections now. It is tried again by itself.',
  'no-address': 'No address is known at which they could be reached. Ask them for a fresh code.',
  'not-tried': 'They have not been tried yet. Choose "Reconnect".',
  'maybe-offline': 'They may be offline: ask whether their helper runs, and for a fresh code, since addresses change.',
  'local-addresses-only': 'Only addresses of their own network are known. From elsewhere they can be reached only once their helper knows its public address; until then, join the same network.',
  'ipv6-only': 'They can be reached over IPv6 only, which this network does not have. Another network, or IPv6 switched on in your router, would help.',
  'give-your-code': 'Give them your code too: when both sides try at the same time, most routers let the connection through.',
  'router-hard': 'Your router makes it hard.',
  'if-never': 'If it never works, it helps when one of you opens a port.',
  'same-network': 'Both of you are seen from one internet address: you are in one house, or customers of one provider. Join the same local network, or use IPv6 on both sides.',
  'routers-random': ({ whose }) => `${ROUTERS[whose]} ${whose === 'both' ? 'give' : 'gives'} every connection a random port, so neither side can find the other's.`,
  'routers-vague': ({ whose }) => `${ROUTERS[whose]} ${whose === 'both' ? 'take their ports' : 'takes its ports'} from a range that is not known yet. New codes of both sides may bring it.`,
}

const ROUTERS = { both: 'Both routers', ours: 'Your router', theirs: 'Their router' } as const

const PORT_WAYS: Record<PortWay, (port: number | null) => string> = {
  setting: () => 'switch on "Open a port in my router" in Settings',
  router: () => 'switch on UPnP, NAT-PMP or PCP in your router',
  forward: (port) => `forward UDP port ${port} in your router to this computer`,
  ipv6: () => 'use a network with IPv6',
}

export function adviceWords({ code, values }: Advice): string {
  const words = ADVICE[code] as string | ((values: Advice['values']) => string)
  return typeof words === 'string' ? words : words(values)
}

export function noticeWords({ code, values: { count } }: TransferNotice): string {
  const files = `${count} ${count === 1 ? 'file' : 'files'}`
  const entries = `${count} ${count === 1 ? 'entry' : 'entries'}`
  const were = count === 1 ? 'was' : 'were'
  switch (code) {
    case 'changed': return `${files} changed at the source and ${were} fetched anew`
    case 'restarted': return `unfinished data of ${files} was from another version and was fetched anew`
    case 'renamed': return `${entries} got another name, since a similar or equal one was there`
    case 'rejected': return `${entries} with a name that is not allowed ${were} left out`
    case 'skipped': return `${files} ${were} left out, as you chose`
  }
}

export function findingWords(detail: VerifyDetail): string {
  switch (detail.code) {
    case 'changed-now': return 'it has just changed at the source'
    case 'only-there': return 'only at the source'
    case 'only-here': return 'only here'
    case 'folder-only-here': return 'a folder that is only here'
    case 'not-a-file': return 'not a file here'
    case 'size': return `${detail.values.here} bytes here, ${detail.values.there} at the source`
    case 'time': return 'another time; the content was not compared'
    case 'content': return `other bytes from ${detail.values.from} on`
    case 'unreadable': return detail.values.message
  }
}
