/** What meeting makes of what the session layer says. Nothing is opened but, where it says so, a connection to a broker on loopback. */
import { peerIdFromKey } from '@harddrive-party/protocol'
import { afterEach, describe, expect, it } from 'vitest'
import { type Meeting, type MeetingOptions, openMeeting } from '../../src/adapters/peers/meeting.ts'
import type { NetworkEvent, PeerStatus, Policy } from '../../src/network/network-api.ts'
import { openTestBroker } from '../support/mqtt-broker.ts'

const idOf = (number: number) => peerIdFromKey(new Uint8Array(32).fill(number))
const POLICY: Policy = { codeSecret: '00'.repeat(16), knownSecret: '11'.repeat(16), askBeforeAccepting: true, peers: [] }

let opened: Meeting | undefined
afterEach(() => opened?.close())

function meetingOf(change: Partial<MeetingOptions> = {}): { meeting: Meeting; events: NetworkEvent[]; lost: () => number } {
  const events: NetworkEvent[] = []
  let lost = 0
  const meeting = openMeeting({
    self: idOf(1), seed: new Uint8Array(32).fill(1), port: 4000, lanSecret: new Uint8Array(16), settings: { mdns: false, topics: [], mqttBrokers: [] }, policy: POLICY,
    ownRecord: () => undefined, connect: async () => {}, learn: () => {}, isConnected: () => false, onLost: () => void lost++, emit: (event) => void events.push(event), log: () => {},
    ...change,
  })
  opened = meeting
  return { meeting, events, lost: () => lost }
}

function statusOf(number: number, state: PeerStatus['state'], code?: 'connection-lost' | 'closed'): NetworkEvent {
  return { type: 'peer', peer: { peerId: idOf(number), state, path: null, lastError: code === undefined ? null : { code, message: 'gone' } } }
}

describe('meeting', () => {
  it('contacts nobody and shows nothing when it is switched off', () => {
    const { meeting, events } = meetingOf({ settings: { mdns: false, topics: [], mqttBrokers: ['mqtt://127.0.0.1:1'] } })
    expect(meeting.report()).toEqual({ mdns: false, topics: [], brokers: [] })
    expect(meeting.neighbour(idOf(2))).toBeUndefined()
    expect(events).toEqual([])
  })

  it('tells the topics that we are in, and who of them is here', () => {
    const { meeting, events } = meetingOf({ settings: { mdns: false, topics: ['otters'], mqttBrokers: [] } })
    expect(events).toEqual([{ type: 'topics', topics: [{ topic: 'otters', members: [] }] }])
    meeting.set({ mdns: false, topics: ['otters'], mqttBrokers: [] })
    expect(events).toHaveLength(1)
    meeting.set({ mdns: false, topics: [], mqttBrokers: [] })
    expect(events.at(-1)).toEqual({ type: 'topics', topics: [] })
  })

  it('has our addresses measured when connections are cut off, once for all of them', () => {
    const { meeting, lost } = meetingOf()
    for (const number of [2, 3, 4]) meeting.heard(statusOf(number, 'connected'))
    for (const number of [2, 3, 4]) meeting.heard(statusOf(number, 'dialling', 'connection-lost'))
    expect(lost()).toBe(1)
  })

  it('takes a goodbye, and the failures of who was not here, for what they are', () => {
    const { meeting, lost } = meetingOf()
    meeting.heard(statusOf(2, 'connected'))
    meeting.heard(statusOf(2, 'offline', 'closed'))
    meeting.heard(statusOf(3, 'dialling'))
    meeting.heard(statusOf(3, 'offline', 'connection-lost'))
    expect(lost()).toBe(0)
  })

  it.each(['our addresses have changed', 'somebody was cut off'])('goes to its brokers anew when %s and they do not hear us any more', async (what) => {
    const broker = await openTestBroker()
    try {
      const { meeting } = meetingOf({ settings: { mdns: false, topics: ['otters'], mqttBrokers: [broker.url] } })
      await broker.subscribed()
      expect(meeting.report().brokers).toMatchObject([{ state: 'connected' }])
      meeting.heard(statusOf(2, 'connected'))
      broker.deafen()
      if (what === 'somebody was cut off') meeting.heard(statusOf(2, 'dialling', 'connection-lost'))
      else meeting.changed()
      await broker.subscribed()
      expect(broker.clientIds).toHaveLength(2)
    } finally {
      await opened?.close()
      await broker.close()
    }
    // Keys are derived, and the broker is given its time to answer.
  }, 20_000)
})
